"""Regions of a classifier that says where it sees something: its boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np
from jaxtyping import Float64

from counterveil.fills import Fill
from counterveil.types import (
    AttributionMap,
    Box,
    Image,
    Labels,
    LocalizingClassifier,
    Mask,
    SearchResult,
)

MARGIN = 1 / 16
"""Width added on each side of a box, as a share of its side: a detector's box cuts edges off, and
a rest of an object may be enough to find it again."""

LARGE = 0.5
"""Share of the image from which a box may be a false alarm: the others are tried without it."""

_ROUNDNESS = 4
"""Exponent of the superellipse that veils what is round: 2 is an ellipse, which cuts chins and
foreheads off; more comes closer to the box."""

_MAX_LOOKS = 8
"""Times that the classifier looks at the veiled image for what it saw not or only weakly before."""


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


@dataclass(frozen=True, eq=False)
class BoxVeil:
    """Boxes whose veil flips the decision.

    Attributes:
        boxes: in pixels of the image, the first ones first.
        score: P(unsafe) under them.
        target: the score that they stay below: the search's, or the threshold.
        evaluations: images scored.
        warnings: sentences on boxes that are as large as the image.
    """

    boxes: tuple[Box, ...]
    score: float
    target: float
    evaluations: int
    warnings: tuple[str, ...] = ()


def box_regions(shape: tuple[int, int], boxes: Sequence[Box]) -> BoxRegions | None:
    """The boxes, each with a margin; ``None`` if no pixel is in a box.

    Args:
        shape: height and width of the image in whose pixels the boxes are.
        boxes: in any order.
    """
    labels = np.full(shape, -1, np.int32)
    heat = np.zeros(shape, np.float32)
    ranked = sorted(boxes, key=lambda box: box.score)  # the best is drawn last, over the others
    for number, box in enumerate(ranked):
        for values, value in ((labels, number), (heat, box.score)):
            _paint(values, box, value)
    kept, numbers = np.unique(labels[labels >= 0], return_inverse=True)
    if not len(kept):
        return None
    labels[labels >= 0] = numbers  # a box that others cover has no region
    return BoxRegions(labels, np.array([ranked[number].score for number in kept]), heat)


def box_mask(shape: tuple[int, int], boxes: Sequence[Box]) -> Mask:
    """The veil of boxes, each with a margin: whole, whatever else it covers."""
    mask = np.zeros(shape, bool)
    for box in boxes:
        _paint(mask, box, True)
    return mask


def scaled(boxes: Sequence[Box], old: tuple[int, int], new: tuple[int, int]) -> tuple[Box, ...]:
    """The boxes in another size ``(H, W)`` of the image, never smaller than they were."""
    if old == new:
        return tuple(boxes)
    down, across = new[0] / old[0], new[1] / old[1]
    return tuple(
        replace(
            box,
            left=floor(box.left * across),
            top=floor(box.top * down),
            right=ceil(box.right * across),
            bottom=ceil(box.bottom * down),
        )
        for box in boxes
    )


def veil_boxes(
    classifier: LocalizingClassifier,
    image: Image,
    boxes: Sequence[Box],
    fill: Fill,
    *,
    threshold: float,
    target: float,
    max_evaluations: int,
) -> BoxVeil | None:
    """Boxes whose veil flips the decision: all from the threshold on, and weaker ones if needed.

    A score that fell proves little: a reader loses a whole line of which one word is veiled. So
    every box that the classifier is sure of is veiled, and it looks again until it is sure of
    nothing more.

    Args:
        classifier: gives the boxes.
        image: ``(H, W, 3)``, in whose pixels the boxes are.
        boxes: what it sees in the image.
        fill: what veiled pixels become.
        threshold: the decision flips below this score.
        target: the veil stays below this score where it can without veiling other things.
        max_evaluations: most images scored.

    Returns:
        ``None`` if veiling the boxes does not flip the decision.
    """
    looks = _Looks(classifier, image, boxes, fill, threshold, target, max_evaluations)
    sure = [box for box in boxes if box.score >= threshold]
    small = [box for box in sure if _share(box, image) < LARGE]
    if 0 < len(small) < len(sure):
        veil = looks.veil(small, largest=LARGE)
        if veil is not None:
            return replace(veil, warnings=("a box as large as the image is not veiled: the other "
                                           "boxes flip the decision without it",))  # fmt: skip
    veil = looks.veil(sure or list(boxes[:1]))
    if veil is None:
        return None
    largest = max(_share(box, image) for box in veil.boxes)
    if largest < LARGE:
        return veil
    note = f"a box covers {largest:.0%} of the image; no smaller boxes flip the decision"
    return replace(veil, warnings=(note,))


def box_result(
    regions: BoxRegions, veiled: Sequence[Box], veil: BoxVeil, score_before: float
) -> SearchResult:
    """A veil of boxes as the result of a search.

    Args:
        regions: all boxes, at the resolution of the search.
        veiled: the veil's boxes, at that resolution.
        veil: what was found.
        score_before: P(unsafe) of the image without a veil.
    """
    mask = box_mask(regions.labels.shape, veiled)
    touched = np.unique(regions.labels[mask & (regions.labels >= 0)])
    ranked = touched[np.argsort(-regions.scores[touched], kind="stable")]
    return SearchResult(
        outcome="found",
        mask=mask,
        regions=tuple(ranked.tolist()),
        depth=len(ranked),
        regions_total=len(regions.scores),
        score_before=score_before,
        score_after=veil.score,
        # Boxes that a flip could do without are veiled, too.
        irreducible=len(veiled) == 1,
        evaluations=veil.evaluations + 1,
        target=veil.target,
    )


@dataclass(eq=False)
class _Looks:
    """Veils boxes, looks at the veiled image, veils what is seen there, and so on."""

    classifier: LocalizingClassifier
    image: Image
    boxes: Sequence[Box]
    fill: Fill
    threshold: float
    target: float
    max_evaluations: int
    evaluations: int = 0

    def veil(self, chosen: Sequence[Box], *, largest: float = np.inf) -> BoxVeil | None:
        """The boxes and what is seen beside them; none covers ``largest`` of the image or more."""
        boxes = list(chosen)
        for _ in range(min(_MAX_LOOKS, self.max_evaluations - self.evaluations)):
            mask = box_mask(self.image.shape[:2], boxes)
            veiled = self.fill(self.image, mask[None])
            score = float(self.classifier.score(veiled)[0])
            self.evaluations += 1
            if score < self.target:
                return BoxVeil(tuple(boxes), score, self.target, self.evaluations)
            seen = self.classifier.boxes(veiled[0])
            more = self._more([box for box in seen if _share(box, mask) < largest], mask, score)
            if not more and score < self.threshold:  # what is left are other, weaker things
                return BoxVeil(tuple(boxes), score, self.threshold, self.evaluations)
            if not more:
                return None
            boxes += more
        return None

    def _more(self, seen: Sequence[Box], mask: Mask, score: float) -> list[Box]:
        """Boxes to veil as well, of those seen under the veil; none if none of them helps."""
        new = [box for box in seen if self._adds(box, mask)]
        sure = [box for box in new if box.score >= self.threshold]
        if sure:
            return sure
        if score >= self.threshold:
            # Weak boxes of the image itself are tried last: the veil may have hidden their reason.
            new = new or [box for box in self.boxes if self._adds(box, mask)]
            return [max(new, key=lambda box: box.score)] if new else []
        # Below the decision, only what is mostly veiled already is worth more veil: its rest.
        return [
            box
            for box in new
            if box.score >= self.target and mask[_window(box, mask.shape, 0)].mean() > 0.5
        ]

    @staticmethod
    def _adds(box: Box, mask: Mask) -> bool:
        own = box_mask(mask.shape, [box])
        return bool((own & ~mask).any())


def _share(box: Box, image: Image | Mask) -> float:
    """Part of the image that a box covers without its margin, in ``[0, 1]``."""
    rows, columns = _window(box, image.shape[:2], 0)
    area = max(0, rows.stop - rows.start) * max(0, columns.stop - columns.start)
    return float(area / (image.shape[0] * image.shape[1]))


def _window(box: Box, shape: tuple[int, ...], margin: float) -> tuple[slice, slice]:
    """Rows and columns of a box with a margin, clipped to the image."""
    along = round((box.bottom - box.top) * margin)
    across = round((box.right - box.left) * margin)
    return (
        slice(max(0, box.top - along), min(shape[0], max(0, box.bottom + along))),
        slice(max(0, box.left - across), min(shape[1], max(0, box.right + across))),
    )


def _paint(values: np.ndarray, box: Box, value: float) -> None:
    """Set the pixels of a box with its margin, in its shape."""
    window = rows, columns = _window(box, values.shape, MARGIN)
    if not box.rounded:
        values[window] = value
        return
    half_height = max((box.bottom - box.top) * (0.5 + MARGIN), 0.5)
    half_width = max((box.right - box.left) * (0.5 + MARGIN), 0.5)
    y = np.arange(rows.start, rows.stop) + 0.5 - (box.top + box.bottom) / 2
    x = np.arange(columns.start, columns.stop) + 0.5 - (box.left + box.right) / 2
    inside = np.abs(y / half_height)[:, None] ** _ROUNDNESS + np.abs(x / half_width) ** _ROUNDNESS
    values[window][inside <= 1] = value
