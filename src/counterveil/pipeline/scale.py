"""Change between full resolution and the resolution of the search."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from counterveil.types import Image, Mask


def shrink_image(image: Image, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its longest side at most ``size`` pixels; unchanged if it is already."""
    height, width = image.shape[:2]
    if max(height, width) <= size:
        return image
    factor = size / max(height, width)
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Pillow.fromarray(image).resize(shape, Pillow.Resampling.BOX))


def enlarge_mask(mask: Mask, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask at full resolution; each pixel takes the value of the pixel it shrank into."""
    if mask.shape == (height, width):
        return mask
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    large: np.ndarray = mask[rows[:, None], columns]
    return large
