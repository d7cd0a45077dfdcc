"""Stability: does the same picture in another encoding or size get the same veil?"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image as Pillow

from counterveil.images import encode_png
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.cse import decode_mask
from counterveil.pipeline import Pipeline
from counterveil.pipeline.mask import resize_mask
from counterveil.types import Image, Mask

STABLE_RATIO = 1.3
"""Largest over smallest veil of one picture that still counts as stable."""
REFERENCE = "PNG"
"""The copy that the others are compared with."""
QUALITIES = (95, 90, 80)
"""Of the JPEG copies."""
SCALE = 0.9
"""Size of the smaller copy."""

Item = dict[str, Any]
"""What was measured on one image, as JSON data."""


def copies(pixels: Image) -> dict[str, bytes]:
    """A picture in several encodings and in a smaller size, as files by name."""
    picture = Pillow.fromarray(pixels)
    width, height = (max(1, round(side * SCALE)) for side in picture.size)
    # Pillow widens the kernel when it shrinks, so nothing aliases.
    smaller = picture.resize((width, height), Pillow.Resampling.LANCZOS)
    return {
        REFERENCE: encode_png(pixels),
        **{f"JPEG {quality}": _jpeg(picture, quality) for quality in QUALITIES},
        f"{SCALE:g} of the size": encode_png(np.asarray(smaller)),
    }


def measure_stability(pipeline: Pipeline, pixels: Image) -> Item:
    """Areas of the released veils of each copy, and their IoU with that of the reference.

    Masks are compared at the reference's size. A copy that is not flagged has the area 0.
    """
    masks: dict[str, Mask] = {}
    for name, data in copies(pixels).items():
        examination = pipeline.examine(data, name=name)
        assert examination.mask is not None, examination.record
        masks[name] = decode_mask(examination.mask)
    resized = {name: resize_mask(mask, *pixels.shape[:2]) for name, mask in masks.items()}
    return {
        "areas": {name: float(mask.mean()) for name, mask in masks.items()},
        "iou": {name: _iou(mask, resized[REFERENCE]) for name, mask in resized.items()},
    }


def summarise_stability(items: Sequence[Item]) -> dict[str, Any]:
    """Shares and medians over at least one image.

    Returns:
        ``images``; ``stable``: share of them whose largest veil is at most ``STABLE_RATIO`` times
        the smallest; ``median_iou`` over all copies but the reference; ``copies``: a row for each.
    """
    names = list(items[0]["areas"])
    ratios = [_largest_over_smallest(list(item["areas"].values())) for item in items]
    overlaps = [item["iou"][name] for item in items for name in names if name != REFERENCE]
    return {
        "images": len(items),
        "stable": bootstrap_mean([float(ratio <= STABLE_RATIO) for ratio in ratios]).to_dict(),
        "median_iou": float(np.median(overlaps)),
        "copies": {
            name: {
                "not_flagged": sum(item["areas"][name] == 0 for item in items),
                "area": bootstrap_mean([item["areas"][name] for item in items]).to_dict(),
                "median_iou": float(np.median([item["iou"][name] for item in items])),
            }
            for name in names
        },
    }


def _jpeg(picture: Pillow.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _iou(mask: Mask, other: Mask) -> float:
    union = float((mask | other).sum())
    return float((mask & other).sum()) / union if union else 1.0


def _largest_over_smallest(areas: Sequence[float]) -> float:
    """Infinite where one copy is veiled and another is not."""
    return max(areas) / min(areas) if min(areas) else float("inf")
