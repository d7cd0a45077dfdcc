"""Between full resolution and the resolution at which the search works."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from counterveil.types import Image, Mask


def shrink(image: Image, side: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its longest side at most ``side`` pixels; itself when it is already."""
    height, width = image.shape[:2]
    if max(height, width) <= side:
        return image
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.BOX))


def enlarge(mask: Mask, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """A mask brought to full resolution; every pixel takes the value it shrank into."""
    if mask.shape == (height, width):
        return mask
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    large: np.ndarray = mask[rows[:, None], columns]
    return large
