"""Pictures of the report, made from the veiled image, its mask, attribution maps and regions.

No function here receives the original. Maps and regions are computed from the original, so at full
resolution they would draw what the veil hides: a gradient map follows every edge of it. Therefore
maps are averaged over a coarse grid, and boundaries are drawn outside the veil only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32
from PIL import Image as Pillow

from counterveil.types import AttributionMap, Image, Labels, Mask

MAX_SIDE = 240
"""Longest side of an embedded picture, in pixels: 200 images must fit a page of 2 MB."""

MAX_CELLS = 16
"""Most cells of a heat map along a side: coarse enough to show where, and not what."""

_MAGMA = np.array(
    [(40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
     (252, 255, 164)]
)  # fmt: skip
_BOUNDARY_RGB = (0, 229, 255)
_MASK_RGB = (255, 64, 129)


@dataclass(frozen=True)
class View:
    """Pictures of one record, small enough to embed; none of them is the original.

    The overlays are stretched over the veiled image, so each may have its own resolution.

    Attributes:
        veiled: the veiled image, WebP or PNG.
        attribution_map: coarse heat map, PNG with alpha; ``None`` without a map.
        regions: boundaries of the regions outside the veil, PNG with alpha.
        mask: the veiled pixels, PNG with alpha.
    """

    veiled: bytes
    attribution_map: bytes | None = None
    regions: bytes | None = None
    mask: bytes | None = None


def view(
    veiled: Image,
    mask: Mask,
    attribution_maps: Sequence[AttributionMap] = (),
    labels: Labels | None = None,
) -> View:
    """Make all pictures of one image.

    Args:
        veiled: the released image.
        mask: ``True`` = veiled, of the same size.
        attribution_maps: one per flagged category, all of one size; each is scaled to its own
            maximum, and the largest value is shown.
        labels: regions, of any size.
    """
    return View(
        veiled=thumbnail(veiled),
        attribution_map=heatmap_png(attribution_maps) if attribution_maps else None,
        regions=None if labels is None else regions_png(labels, mask),
        mask=mask_png(mask) if mask.any() else None,
    )


def thumbnail(image: Image) -> bytes:
    """The image as WebP without metadata, its longest side at most ``MAX_SIDE`` pixels."""
    height, width = image.shape[:2]
    picture = Pillow.fromarray(image)
    if max(height, width) > MAX_SIDE:
        picture = picture.resize(_scaled_size(height, width, MAX_SIDE), Pillow.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=60, method=4)
    return buffer.getvalue()


def heatmap_png(attribution_maps: Sequence[AttributionMap]) -> bytes:
    """Attribution maps as one coarse overlay, transparent where they are 0.

    Args:
        attribution_maps: at least one, all of one size.
    """
    height, width = attribution_maps[0].shape
    columns, rows = _scaled_size(height, width, min(MAX_CELLS, max(height, width)))
    strength = np.max(
        [_cell_means(attribution_map, rows, columns) for attribution_map in attribution_maps],
        axis=0,
    )  # (R, C) in [0, 1]
    position = strength * (len(_MAGMA) - 1)
    low = np.minimum(position.astype(int), len(_MAGMA) - 2)
    weight = (position - low)[..., None]
    overlay = np.empty((rows, columns, 4), np.uint8)
    overlay[..., :3] = np.rint(_MAGMA[low] * (1 - weight) + _MAGMA[low + 1] * weight)
    overlay[..., 3] = np.rint(220 * np.sqrt(strength))
    return _png(Pillow.fromarray(overlay, "RGBA"))


def regions_png(
    labels: Int32[np.ndarray, "rows columns"], mask: Mask, *, longest: int = MAX_SIDE
) -> bytes:
    """Boundaries of the regions as an overlay, transparent inside the veil.

    Args:
        labels: regions, of any size.
        mask: ``True`` = veiled, of any size.
        longest: most pixels of the overlay along a side.
    """
    mask = _shrink(mask, longest)
    labels = _resize_nearest(labels, *mask.shape)
    boundary = np.zeros(labels.shape, bool)
    boundary[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    boundary[1:] |= labels[1:] != labels[:-1]
    return _two_colour_png(boundary & ~_dilate(mask), _BOUNDARY_RGB, 255)


def mask_png(mask: Mask) -> bytes:
    """The mask as an overlay, tinted where veiled."""
    return _two_colour_png(_shrink(mask, MAX_SIDE), _MASK_RGB, 190)


def _scaled_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Width and height, scaled so that the longest side is ``longest``."""
    factor = longest / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _shrink(mask: Mask, longest: int) -> np.ndarray:
    """The mask with its longest side at most ``longest``."""
    height, width = mask.shape
    width, height = _scaled_size(height, width, min(longest, max(height, width)))
    return _resize_nearest(mask, height, width)


def _cell_means(attribution_map: AttributionMap, rows: int, columns: int) -> np.ndarray:
    """Mean of each cell, scaled so that the largest is 1."""
    picture = Pillow.fromarray(np.asarray(attribution_map, np.float32))
    means = np.asarray(picture.resize((columns, rows), Pillow.Resampling.BOX), np.float64)
    peak = float(means.max())
    return means / peak if peak > 0 else np.zeros_like(means)


def _resize_nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    resized: np.ndarray = values[rows[:, None], columns]
    return resized


def _dilate(mask: Mask) -> Mask:
    """The mask and its neighbours: a boundary beside the veil still follows a hidden pixel."""
    padded = np.pad(mask, 1)
    dilated: Mask = (
        mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    )
    return dilated


def _two_colour_png(where: np.ndarray, colour: tuple[int, int, int], alpha: int) -> bytes:
    """Overlay of one colour; with a palette, it takes a tenth of the bytes of RGBA."""
    picture = Pillow.fromarray(where.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, *colour])
    return _png(picture, bits=1, transparency=bytes([0, alpha]))


def _png(picture: Pillow.Image, **options: int | bytes) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6, **options)
    return buffer.getvalue()
