"""Measures a veil without ground truth: its shape, a detector's boxes, classifiers as judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from counterveil import classifiers
from counterveil.fills import Fill
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.transfer import judge_scores, summarise_transfer
from counterveil.lab.benchmarks.veil_shape import circularity, fit_boxes, split_pieces
from counterveil.types import Classifier, Image, LocalizingClassifier, Mask

FEW_PIECES = 3
"""A veil of at most so many pieces counts as one of few."""
DETECTED = 0.5
"""Boxes count from this score on."""

Veil = Mapping[str, Any]
"""Figures of one veil, as JSON data."""


class VeilMetrics:
    """Measures veils.

    Args:
        judges: classifiers that took no part in the search, by the name that results use.
        detector: gives boxes that a veil is compared with; ``None``: no comparison.
        seed: of the random veils.
    """

    def __init__(
        self,
        judges: Mapping[str, Classifier],
        detector: LocalizingClassifier | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self._judges, self._detector, self._seed = judges, detector, seed

    @classmethod
    def load(cls, judges: Sequence[str], boxes: str, *, device: str) -> VeilMetrics:
        """Metrics with the models of some specs; ``boxes`` may be empty."""
        detector = classifiers.load(boxes, device=device) if boxes else None
        # Every loaded classifier is one that localizes; those that cannot give no box.
        assert detector is None or isinstance(detector, LocalizingClassifier)
        return cls({spec: classifiers.load(spec, device=device) for spec in judges}, detector)

    def __call__(self, image: Image, mask: Mask, fill: Fill, *, index: int) -> Veil:
        """Figures of one veil.

        Args:
            image: ``(H, W, 3)``.
            mask: ``(H, W)``, ``True`` = veiled, not empty.
            fill: what veiled pixels become.
            index: number of the image; the same image and mask get the same random veils.
        """
        boxes = () if self._detector is None else self._detector.boxes(image)
        fit = fit_boxes(mask, [box for box in boxes if box.score >= DETECTED])
        rng = np.random.default_rng([self._seed, index])
        return {
            "area": float(mask.mean()),
            "pieces": len(split_pieces(mask)),
            "circularity": circularity(mask),
            "boxes": None if fit is None else asdict(fit),
            "judges": {
                name: judge_scores(judge, image, mask, fill, rng)
                for name, judge in self._judges.items()
            },
        }


def summarise_veils(veils: Sequence[Veil]) -> dict[str, Any]:
    """Figures of one method's veils.

    Returns:
        ``shape``: one row; ``boxes``: one row, empty if no image has a box; ``transfer``: a row by
        judge.
    """
    if not veils:
        return {"shape": {}, "boxes": {}, "transfer": {}}
    pieces = [veil["pieces"] for veil in veils]
    shape = {
        "images": len(veils),
        "area": bootstrap_mean([veil["area"] for veil in veils]).to_dict(),
        "largest_area": max(veil["area"] for veil in veils),
        "median_pieces": float(np.median(pieces)),
        "most_pieces": max(pieces),
        "few_pieces": bootstrap_mean([float(p <= FEW_PIECES) for p in pieces]).to_dict(),
        "circularity": bootstrap_mean([veil["circularity"] for veil in veils]).to_dict(),
    }
    fits = [veil["boxes"] for veil in veils if veil["boxes"] is not None]
    boxes = {
        "images": len(fits),
        "coverage": bootstrap_mean([fit["coverage"] for fit in fits]).to_dict(),
        "excess": bootstrap_mean([fit["excess"] for fit in fits]).to_dict(),
    }
    transfer = {
        name: summarise_transfer([veil["judges"][name] for veil in veils])
        for name in veils[0]["judges"]
    }
    return {"shape": shape, "boxes": boxes if fits else {}, "transfer": transfer}
