"""A picture that tells a reviewer what an image is about, and spares them the sight of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from counterveil.images import encode_png, load
from counterveil.types import Image

SIDE = 512
"""Most pixels of its longer side."""
BLUR = 1 / 60
"""Of the blur, as a part of its longer side: outlines stay, details go."""


def preview(path: Path) -> bytes:
    """An image in grey, small and blurred, as PNG; for viewing, not for release.

    Raises:
        ImageError: it cannot be read.
    """
    pixels = load(path)[0].pixels
    step = max(1, -(-max(pixels.shape[:2]) // SIDE))
    height, width = (max(1, side // step) for side in pixels.shape[:2])
    # Of a side shorter than a step, everything is taken.
    whole = pixels[: height * step, : width * step].mean(axis=2)
    rows = np.add.reduceat(whole, np.arange(0, len(whole), step)[:height], axis=0)
    sums = np.add.reduceat(rows, np.arange(0, whole.shape[1], step)[:width], axis=1)
    grey = sums / (min(step, len(whole)) * min(step, whole.shape[1]))
    blurred = gaussian_filter(grey, BLUR * max(grey.shape))
    shown: Image = np.repeat(blurred[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)
    return encode_png(shown)
