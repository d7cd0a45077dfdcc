"""What every segmentation refuses."""

from __future__ import annotations

import numpy as np

from counterveil.errors import UsageError
from counterveil.types import AttributionMap, Image


def check(image: Image, guidance: AttributionMap | None) -> None:
    """Refuse what is no image, and guidance that does not fit it.

    Raises:
        UsageError: says what was expected and what came.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise UsageError(f"expected a uint8 image (H, W, 3), got {image.dtype} {image.shape}")
    if guidance is None:
        return
    if guidance.shape != image.shape[:2]:
        raise UsageError(f"guidance of {guidance.shape} does not fit an image of {image.shape[:2]}")
    if not np.isfinite(guidance).all() or guidance.min() < 0:
        raise UsageError("guidance must be finite and never negative")
