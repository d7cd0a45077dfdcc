"""Masks of whole objects, from the preferred one to the one that is certainly safe.

A mask that follows an object's outline shows its shape, which a classifier may recognise. A
wider mask hides the shape too. Where that does not help, only the core of some objects is veiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import binary_dilation, label

from counterveil.types import Mask, Masks, Scores

_DILATIONS = (1 / 112, 1 / 56, 1 / 28)  # shares of the image's shorter side


def candidate_masks(
    core_mask: Mask, object_mask: Mask, *, margin: Callable[[Masks], Scores]
) -> Iterator[Mask]:
    """Masks to release, best first; each is computed when it is asked for.

    1. ``object_mask``.
    2. ``object_mask`` dilated, up to 1/28 of the image, as far as the margin stays negative.
    3. The connected objects of ``object_mask``, reduced to their core one by one until the
       margin is negative; first the one whose reduction gives the lowest margin.
    4. ``core_mask``.

    Args:
        core_mask: a safe mask, ``(H, W)``.
        object_mask: ``core_mask`` completed to whole objects, ``(H, W)``.
        margin: largest excess of any score over its threshold under each mask; negative is
            safe.

    Yields:
        Masks that include ``core_mask``.
    """
    yield object_mask
    widths = [max(1, round(share * min(object_mask.shape))) for share in _DILATIONS]
    dilated = np.stack([binary_dilation(object_mask, iterations=width) for width in widths])
    yield from dilated[margin(dilated) < 0]
    fewer_objects = _drop_objects(core_mask, object_mask, margin)
    if (fewer_objects != core_mask).any():
        yield fewer_objects
    yield core_mask


def _drop_objects(core_mask: Mask, object_mask: Mask, margin: Callable[[Masks], Scores]) -> Mask:
    parts, count = label(object_mask)
    completed = object_mask & ~core_mask
    kept = [part for part in range(1, count + 1) if completed[parts == part].any()]
    mask, lowest = object_mask, np.inf
    while kept and lowest >= 0:
        without = np.stack(
            [core_mask | np.isin(parts, [k for k in kept if k != part]) for part in kept]
        )
        margins = margin(without)
        best = int(np.argmin(margins))
        mask, lowest, kept = without[best], margins[best], kept[:best] + kept[best + 1 :]
    return mask
