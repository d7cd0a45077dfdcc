"""Colours as viewers show them that apply a colour profile, a gamma or the file's own primaries."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, UInt32
from PIL import Image as Pillow
from PIL import ImageCms

from counterveil.images.codec_errors import CODEC_ERROR_TYPES
from counterveil.images.view import View
from counterveil.types import Image

_VISIBLE = 32
"""A smaller change of every channel than this many levels hides and shows nothing."""
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of a profile -> mode of the pixels that it describes."""
_INTENTS = (ImageCms.Intent.PERCEPTUAL, ImageCms.Intent.RELATIVE_COLORIMETRIC)
"""Viewers use either, and each may have a table of its own in the profile."""
_PROFILE_ERRORS: tuple[type[Exception], ...] = (ImageCms.PyCMSError, *CODEC_ERROR_TYPES)
_SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of white, red, green and blue."""
_SRGB_GAMMA = 0.45455


def colour_views(image: Pillow.Image, rgb: Image) -> Iterator[View]:
    """The colours as they are stored, then as other viewers show them.

    Args:
        image: as decoded, before its conversion; its ``info`` may hold ``icc_profile``, ``gamma``
            (exponent of the encoding, one number or three) and ``chromaticity``.
        rgb: the stored colours, alpha ignored.
    """
    profile = image.info.get("icc_profile")
    changed, problem = _profile_views(image, rgb, profile) if profile else ([], "")
    notes = ("its colour profile was dropped, not applied",) if profile else ()
    yield View(rgb, "", (*notes, problem) if problem else notes)
    for pixels in changed:
        yield View(pixels, "colour profile applied", ("its colour profile was applied",))
    gamma = image.info.get("gamma")
    if gamma:
        calibrated = _calibrate(rgb, gamma, image.info.get("chromaticity"))
        if _differs(calibrated, rgb):
            yield View(calibrated, "gamma applied", ("the gamma that it names was applied",))


def _profile_views(image: Pillow.Image, rgb: Image, profile: bytes) -> tuple[list[Image], str]:
    """The pixels under a profile where that changes them, and why it cannot be applied."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(opened.profile.xcolor_space.strip(), "")
        grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")
        if mode == "RGB" and image.mode != "CMYK":
            # Most pictures have few colours beside their pixels, and most profiles change little.
            packed, present = _pack(rgb), np.zeros(1 << 24, np.bool_)
            present[packed] = True
            codes = np.flatnonzero(present)
            colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)[None]
            colours = colours.astype(np.uint8)
            tables = _convert(Pillow.fromarray(colours), colours, opened)
            return [_look_up(packed, codes, table[0]) for table in tables], ""
        if mode == image.mode == "CMYK":
            return _convert(image, rgb, opened), ""
        if mode == "L" and grey:
            return _convert(Pillow.fromarray(rgb[..., 0]), rgb, opened), ""
    except _PROFILE_ERRORS:
        return [], "its colour profile is damaged, so viewers ignore it"
    return [], "its colour profile is for other colours, so viewers ignore it"


def _convert(source: Pillow.Image, stored: Image, profile: ImageCms.ImageCmsProfile) -> list[Image]:
    """The different results, by intent, that differ from the stored colours."""
    found: list[Image] = []
    for intent in _INTENTS:
        converted = ImageCms.profileToProfile(
            source, profile, ImageCms.createProfile("sRGB"), intent, "RGB"
        )
        pixels = np.array(converted)
        if all(_differs(pixels, other) for other in (stored, *found)):
            found.append(pixels)
    return found


def _look_up(
    packed: UInt32[np.ndarray, "height width"], codes: np.ndarray, colours: np.ndarray
) -> Image:
    table = np.zeros((1 << 24, 3), np.uint8)
    table[codes] = colours
    pixels: Image = table[packed]
    return pixels


def _pack(rgb: Image) -> UInt32[np.ndarray, "height width"]:
    """Each colour as one number of 24 bits."""
    packed = np.zeros(rgb.shape[:2], np.uint32)
    for channel in range(3):
        packed <<= 8
        packed |= rgb[..., channel]
    return packed


def _differs(pixels: Image, other: Image) -> bool:
    higher, lower = np.maximum(pixels, other), np.minimum(pixels, other)
    return bool((higher - lower > _VISIBLE).any())


def _calibrate(
    rgb: Image, gamma: float | tuple[float, ...], primaries: tuple[float, ...] | None
) -> Image:
    """Convert to sRGB.

    References:
        PNG (Third Edition), 11.3.2.1 cHRM and 11.3.2.2 gAMA.
    """
    exponents = 1 / np.maximum(np.broadcast_to(np.array(gamma, float), 3), 1e-3)
    levels = np.linspace(0, 1, 256)[:, None] ** exponents  # (256, 3), linear light
    if primaries is None or np.allclose(primaries, _SRGB_PRIMARIES, atol=0.01):
        table = _encode_srgb(levels)
        return np.stack([table[rgb[..., c], c] for c in range(3)], axis=-1)
    matrix = np.linalg.pinv(_to_xyz(_SRGB_PRIMARIES)) @ _to_xyz(primaries)
    out = np.empty_like(rgb)
    for row, target in zip(rgb, out, strict=True):  # a row at a time: doubles need memory
        linear = np.stack([levels[row[:, c], c] for c in range(3)], axis=-1)
        target[:] = _encode_srgb(linear @ matrix.T)
    return out


def _encode_srgb(linear: Float64[np.ndarray, "... 3"]) -> Image:
    linear = np.clip(np.nan_to_num(linear), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: Image = np.rint(encoded * 255).astype(np.uint8)
    return levels


def _to_xyz(primaries: tuple[float, ...]) -> Float64[np.ndarray, "3 3"]:
    """Matrix from linear RGB to XYZ, scaled so that white is white in any space."""
    points = np.array(primaries, float).reshape(4, 2)
    y = np.maximum(points[:, 1], 1e-6)
    white, *rgb = np.stack([points[:, 0] / y, np.ones(4), (1 - points.sum(axis=1)) / y], axis=1)
    columns = np.array(rgb).T
    # Divided by white: a viewer adapts to it, and so needs no table of light sources.
    matrix: np.ndarray = columns * (np.linalg.pinv(columns) @ white) / white[:, None]
    return matrix
