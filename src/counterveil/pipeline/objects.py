"""Whole objects veiled without provoking a classifier again.

A veil cut to an object's very outline shows its shape in black, and a shape can tell. A wider veil
hides that, too; where it does not help, objects are left at what must be hidden of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import binary_dilation, label

from counterveil.fills import Fill
from counterveil.pipeline.components import CategoryClassifier
from counterveil.types import Image, Mask, Scores

_WIDER = (1 / 112, 1 / 56, 1 / 28)
"""By how much veils are widened, as parts of the image's shorter side."""


def whole_objects(
    image: Image, core: Mask, whole: Mask, *, fill: Fill, watches: Sequence[CategoryClassifier]
) -> Iterator[Mask]:
    """Veils over whole objects, the best first, each worked out only when it is asked for.

    First, the whole. Then, the whole a little wider, up to a twenty-eighth of the image, where that
    leaves every score below its threshold. Then what is completed comes apart into objects, and
    the one is dropped without which the worst score, against its threshold, is lowest, until the
    veil is safe.

    Args:
        image: RGB.
        core: a veil that is safe by itself.
        whole: the core and more.
        fill: what veiled pixels become.
        watches: whose scores must stay below their thresholds.

    Yields:
        At least the core each; the core itself last.
    """
    yield whole
    widths = [max(1, round(part * min(whole.shape))) for part in _WIDER]
    wider = [binary_dilation(whole, iterations=width) for width in widths]
    safe = _excess(image, wider, fill, watches) < 0
    yield from (mask for mask, good in zip(wider, safe, strict=True) if good)
    fewer = _fewer(image, core, whole, fill, watches)
    if (fewer != core).any():
        yield fewer
    yield core


def _fewer(
    image: Image, core: Mask, whole: Mask, fill: Fill, watches: Sequence[CategoryClassifier]
) -> Mask:
    parts, count = label(whole)
    kept = [number for number in range(1, count + 1) if (whole & ~core)[parts == number].any()]
    mask, excess = whole, np.inf
    while kept and excess >= 0:
        without = [core | np.isin(parts, [k for k in kept if k != one]) for one in kept]
        over = _excess(image, without, fill, watches)
        best = int(np.argmin(over))
        mask, excess, kept = without[best], over[best], kept[:best] + kept[best + 1 :]
    return mask


def _excess(
    image: Image, masks: Sequence[Mask], fill: Fill, watches: Sequence[CategoryClassifier]
) -> Scores:
    """By how much the worst score is above its threshold, of each mask."""
    veiled = fill(image, np.stack(masks))
    over = [w.classifier.score(veiled) - w.category.threshold for w in watches]
    worst: Scores = np.max(over, axis=0)
    return worst
