"""Veiled image, mask, map and regions -> pictures for the report.

No function here is given the original. What is computed *from* the original could still draw
what the veil hides: a gradient map follows every edge of it, and so do region boundaries. Maps
are therefore averaged over a coarse grid, and boundaries are drawn outside the veil only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image as Pillow

from counterveil.report.view import View
from counterveil.types import AttributionMap, Image, Labels, Mask

LONGEST = 640
"""Longest side of an embedded picture, in pixels."""

CELLS = 16
"""Most cells of a heat map along a side; coarse enough that it shows where, never what."""

_MAGMA = np.array(
    [(40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
     (252, 255, 164)]
)  # fmt: skip
_LINE = (0, 229, 255)
_VEIL = (255, 64, 129)

Overlay = UInt8[np.ndarray, "height width 4"]


def view(
    veiled: Image,
    mask: Mask,
    attribution_maps: Sequence[AttributionMap] = (),
    labels: Labels | None = None,
) -> View:
    """All pictures of one image.

    Args:
        veiled: as it was written.
        mask: ``True`` = veiled, of the same size.
        attribution_maps: a map each flagged category, of any size; each is scaled to its own maximum and
            the largest value is shown.
        labels: the regions, of any size.
    """
    return View(
        veiled=thumbnail(veiled),
        attribution_map=heat_png(attribution_maps) if attribution_maps else None,
        regions=None if labels is None else regions_png(labels, mask),
        mask=mask_png(mask) if mask.any() else None,
    )


def thumbnail(image: Image, *, longest: int = LONGEST) -> bytes:
    """The image as WebP, its longest side at most ``longest`` pixels, and nothing but pixels."""
    height, width = image.shape[:2]
    picture = Pillow.fromarray(image)
    if max(height, width) > longest:
        picture = picture.resize(_size(height, width, longest), Pillow.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85, method=2)
    return buffer.getvalue()


def heat_png(attribution_maps: Sequence[AttributionMap], *, cells: int = CELLS) -> bytes:
    """Maps as one coarse overlay, clear where they are 0.

    Args:
        attribution_maps: at least one, of one size.
        cells: along the longest side.
    """
    height, width = attribution_maps[0].shape
    columns, rows = _size(height, width, min(cells, max(height, width)))
    strength = np.max(
        [_coarse(attribution_map, rows, columns) for attribution_map in attribution_maps], axis=0
    )  # (R, C) in [0, 1]
    place = strength * (len(_MAGMA) - 1)
    low = np.minimum(place.astype(int), len(_MAGMA) - 2)
    share = (place - low)[..., None]
    overlay = np.empty((rows, columns, 4), np.uint8)
    overlay[..., :3] = np.rint(_MAGMA[low] * (1 - share) + _MAGMA[low + 1] * share)
    overlay[..., 3] = np.rint(220 * np.sqrt(strength))
    return _png(overlay)


def regions_png(
    labels: Int32[np.ndarray, "rows columns"], mask: Mask, *, longest: int = LONGEST
) -> bytes:
    """Boundaries of the regions as an overlay, clear inside the veil.

    Args:
        labels: regions, of any size.
        mask: ``True`` = veiled, of any size.
        longest: longest side of the overlay, in pixels.
    """
    size = _fitted(mask, longest)
    labels = _nearest(labels, size)
    lines = np.zeros(labels.shape, bool)
    lines[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    lines[1:] |= labels[1:] != labels[:-1]
    return _flat(lines & ~_grown(_nearest(mask, size)), _LINE, 255)


def mask_png(mask: Mask, *, longest: int = LONGEST) -> bytes:
    """The mask as an overlay, tinted where veiled."""
    size = _fitted(mask, longest)
    return _flat(_nearest(mask, size), _VEIL, 190)


def _size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Width and height with the longest side brought to ``longest``."""
    factor = longest / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _fitted(mask: Mask, longest: int) -> tuple[int, int]:
    height, width = mask.shape
    return _size(height, width, min(longest, max(height, width)))


def _coarse(attribution_map: AttributionMap, rows: int, columns: int) -> np.ndarray:
    """Mean of each cell, the largest brought to 1."""
    picture = Pillow.fromarray(np.asarray(attribution_map, np.float32))
    small = np.asarray(picture.resize((columns, rows), Pillow.Resampling.BOX), np.float64)
    peak = float(small.max())
    return small / peak if peak > 0 else np.zeros_like(small)


def _nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    near: np.ndarray = values[rows[:, None], columns]
    return near


def _grown(mask: Mask) -> Mask:
    """The mask and the pixels beside it: a line there would still belong to the hidden side."""
    padded = np.pad(mask, 1)
    grown: Mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown


def _flat(where: np.ndarray, colour: tuple[int, int, int], alpha: int) -> bytes:
    """A two-colour palette PNG: a tenth of the bytes of an RGBA one."""
    picture = Pillow.fromarray(where.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, *colour])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", bits=1, transparency=bytes([0, alpha]), compress_level=6)
    return buffer.getvalue()


def _png(overlay: Overlay) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(overlay, "RGBA").save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
