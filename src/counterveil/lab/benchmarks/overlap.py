"""How well a veil covers what it should, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from counterveil.types import Mask


@dataclass(frozen=True)
class Overlap:
    """A veil against the truth.

    Attributes:
        coverage: share of the unsafe pixels that are veiled (recall).
        precision: share of the veiled pixels that are unsafe.
        iou: intersection over union.
        area_ratio: veiled area over true area.
        area: veiled area over the image's.
    """

    coverage: float
    precision: float
    iou: float
    area_ratio: float
    area: float


def overlap(veil: Mask, truth: Mask) -> Overlap:
    """Compare two masks ``(H, W)`` of one size; ``truth`` must not be empty."""
    both = float((veil & truth).sum())
    veiled, unsafe = float(veil.sum()), float(truth.sum())
    return Overlap(
        coverage=both / unsafe,
        precision=both / veiled if veiled else 0.0,
        iou=both / (veiled + unsafe - both),
        area_ratio=veiled / unsafe,
        area=veiled / veil.size,
    )
