"""Regions of a classifier that says where it sees something: its boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from counterveil.types import AttributionMap, Box, Image, Labels

MARGIN = 1 / 12
"""Width added on each side of a box, as a share of its side: a detector's box cuts edges off, and
a rest of an object may be enough to find it again."""


@dataclass(frozen=True, eq=False)
class BoxRegions:
    """Boxes as regions of a search.

    Attributes:
        labels: number of the box at each pixel, -1 outside of all; of overlapping boxes, the one
            with the higher score has the pixel.
        scores: of each region.
        attribution_map: the highest score of a box at each pixel, 0 outside of all.
    """

    labels: Labels
    scores: Float64[np.ndarray, " regions"]
    attribution_map: AttributionMap


def box_regions(image: Image, boxes: Sequence[Box]) -> BoxRegions | None:
    """The boxes, each with a margin; ``None`` if no pixel is in a box.

    Args:
        image: ``(H, W, 3)``; the boxes are in its pixels.
        boxes: in any order.
    """
    height, width = image.shape[:2]
    labels = np.full((height, width), -1, np.int32)
    heat = np.zeros((height, width), np.float32)
    ranked = sorted(boxes, key=lambda box: box.score)  # the best is drawn last, over the others
    for number, box in enumerate(ranked):
        across = round((box.right - box.left) * MARGIN)
        along = round((box.bottom - box.top) * MARGIN)
        rows = slice(max(0, box.top - along), max(0, box.bottom + along))
        columns = slice(max(0, box.left - across), max(0, box.right + across))
        labels[rows, columns] = number
        heat[rows, columns] = box.score
    kept, numbers = np.unique(labels[labels >= 0], return_inverse=True)
    if not len(kept):
        return None
    labels[labels >= 0] = numbers  # a box that others cover has no region
    return BoxRegions(labels, np.array([ranked[number].score for number in kept]), heat)
