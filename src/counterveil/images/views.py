"""Every way in which viewers show a decoded picture, as 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image as Pillow

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import damaged
from counterveil.images.colour import colour_views
from counterveil.images.structure.layout import AlphaKind
from counterveil.images.view import View
from counterveil.types import Image

_TAG_BITS, _TAG_PHOTOMETRIC = 258, 262
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_NOTE_16_BITS = "16 bits a channel reduced to 8"


@dataclass(frozen=True, eq=False)
class Container:
    """What the file says beside its pixels.

    Attributes:
        format: as ``signatures.detect_format`` names it.
        bit_depth: bits per channel in the file.
        key: the transparent colour, at ``bit_depth``: one grey or red, green and blue.
        low_bytes: the lower 8 of 16 bits of RGB; needed to compare a key.
        alpha: what the file says about its alpha channel.
    """

    format: str
    bit_depth: int = 8
    key: tuple[int, ...] = ()
    low_bytes: Image | None = None
    alpha: AlphaKind = "straight"


@dataclass(frozen=True, eq=False)
class _Alpha:
    values: UInt8[np.ndarray, "height width"]
    kind: AlphaKind = "straight"
    name: str = ""


def views(image: Pillow.Image, container: Container) -> Iterator[View]:
    """Convert a loaded picture; the first view is the plain one: no profile, laid on white.

    8-bit RGB stays as it is in the plain view.

    Raises:
        ImageBrokenError: the colour mode is not supported.
    """
    alphas = _alphas(image, container)
    for stored in _stored_colours(image, container):
        for colours in colour_views(image, stored.pixels):
            shown = stored.then(colours.pixels, colours.name, *colours.notes)
            if not any(not alpha.name for alpha in alphas):  # all of it is opaque
                yield shown
            for alpha in alphas:
                yield from _on_backgrounds(shown, alpha)


def composed_views(
    image: Pillow.Image, canvas: Pillow.Image, background: tuple[int, ...] | None
) -> Iterator[View]:
    """Views of a canvas on which frames were composed; the whole canvas is transparent at first.

    Args:
        image: the file, for its colour profile.
        canvas: RGBA.
        background: colour that some programs clear the canvas to.
    """
    rgba = np.asarray(canvas)
    rgb, alpha = rgba[..., :3].copy(), rgba[..., 3].copy()
    note = "its frames were composed as browsers do"
    for colours in colour_views(image, rgb):
        shown = View(colours.pixels, "composed as browsers do", (note,)).then(
            colours.pixels, colours.name, *colours.notes
        )
        yield from _on_backgrounds(shown, _Alpha(alpha))
    if background is not None:
        ground = Pillow.new("RGBA", canvas.size, (*background, 255))
        ground.alpha_composite(canvas)
        pixels = np.array(ground.convert("RGB"))
        yield View(pixels, "on the background colour, composed as browsers do", (note,))


def _on_backgrounds(view: View, alpha: _Alpha) -> Iterator[View]:
    """The view laid on backgrounds, and with its alpha ignored."""
    rgb = view.pixels

    def laid(colour: str, how: AlphaKind, *, named: bool = True) -> View:
        background = 255 if colour == "white" else 0
        parts = [alpha.name, f"on {colour}" if named else ""]
        if how != alpha.kind and "premultiplied" in (how, alpha.kind):
            parts.insert(0, f"{how} alpha")
        name = ", ".join(part for part in parts if part)
        pixels = _lay(rgb, alpha.values, background, how)
        return view.then(pixels, name, f"transparency laid on {colour}")

    ignored = "its alpha channel was ignored"
    if alpha.kind == "unspecified":
        yield view.then(rgb, "", ignored)
        yield laid("white", "straight")
        yield laid("black", "straight")
        yield laid("white", "premultiplied")
        return
    yield laid("white", alpha.kind, named=bool(alpha.name))
    yield laid("black", alpha.kind)
    yield view.then(rgb, "alpha ignored", ignored)
    if alpha.kind == "premultiplied":
        yield laid("white", "straight")
        yield laid("black", "straight")


def _lay(
    rgb: Image, alpha: UInt8[np.ndarray, "height width"], background: int, how: AlphaKind
) -> Image:
    if how == "premultiplied":
        added = (255 - alpha)[..., None].astype(np.uint16) * (background // 255)
        return np.minimum(rgb + added, 255).astype(np.uint8)
    canvas = Pillow.new("RGB", rgb.shape[1::-1], (background,) * 3)
    canvas.paste(Pillow.fromarray(rgb), mask=Pillow.fromarray(alpha))
    return np.array(canvas)


def _stored_colours(image: Pillow.Image, container: Container) -> Iterator[View]:
    """The colours without alpha; several where the file does not say how to read them."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        yield from _wide_grey(image, container)
        return
    notes: tuple[str, ...] = (_NOTE_16_BITS,) if container.bit_depth == 16 else ()
    if mode == "CMYK":
        yield View(
            np.array(image.convert("RGB")),
            notes=(*notes, "CMYK converted to RGB without a colour profile"),
        )
        if container.format == "JPEG" and "adobe" not in image.info:
            # Pillow and browsers take such a file for inverted; others go by Adobe's marker.
            inverted = Pillow.fromarray(255 - np.asarray(image), "CMYK")
            yield View(np.array(inverted.convert("RGB")), "CMYK inverted", notes)
    elif mode in _WITH_ALPHA or (mode == "P" and "transparency" in image.info):
        yield View(_rgba(image)[..., :3].copy(), notes=notes)
    elif mode in ("1", "L", "P", "RGB", "YCbCr"):
        yield View(np.array(image if mode == "RGB" else image.convert("RGB")), notes=notes)
    else:
        raise ImageBrokenError(f"colour mode {mode} is not supported; convert it to an RGB PNG")


def _rgba(image: Pillow.Image) -> UInt8[np.ndarray, "height width 4"]:
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    return np.asarray((image.convert(straight) if straight else image).convert("RGBA"))


def _alphas(image: Pillow.Image, container: Container) -> list[_Alpha]:
    """The alpha channel, or what a transparent colour amounts to; nothing where all is opaque."""
    if image.mode in _WITH_ALPHA or (image.mode == "P" and "transparency" in image.info):
        found = [_Alpha(_rgba(image)[..., 3].copy(), container.alpha)]
    elif container.key and image.mode != "P":
        found = [_Alpha(alpha, name=name) for name, alpha in _key_alphas(image, container)]
    elif image.has_transparency_data and image.mode in ("1", "L", "RGB"):  # a grey GIF
        found = [_Alpha(np.asarray(image.convert("RGBA"))[..., 3].copy())]
    else:
        found = []
    return [alpha for alpha in found if alpha.values.min() < 255]


def _key_alphas(
    image: Pillow.Image, container: Container
) -> Iterator[tuple[str, UInt8[np.ndarray, "height width"]]]:
    """Compare a transparent colour at the file's full depth; Pillow does so for few depths.

    References:
        PNG (Third Edition), 11.3.1.1 tRNS.
    """
    depth = container.bit_depth
    key = np.array(container.key) & ((1 << depth) - 1)
    if image.mode.startswith("I"):
        hit = np.asarray(image) == key[0]
    elif image.mode == "RGB" and depth == 16:
        high = np.asarray(image)
        low = np.asarray(container.low_bytes if container.low_bytes is not None else high)
        hit = ((high == key >> 8) & (low == key & 255)).all(axis=-1)
        # Programs that reduce the pixels first, thumbnailers among them, compare 8 bits only.
        rough = (high == key >> 8).all(axis=-1)
        yield "", _opaque_outside(hit)
        yield "colour key compared at 8 bits", _opaque_outside(rough)
        return
    elif image.mode == "RGB":
        hit = (np.asarray(image) == key).all(axis=-1)
    else:  # Pillow scales narrow grey to 0 to 255
        hit = np.asarray(image.convert("L")) == key[0] * (255 // ((1 << min(depth, 8)) - 1))
    yield "", _opaque_outside(hit)


def _opaque_outside(hit: Shaped[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    return np.where(hit, np.uint8(0), np.uint8(255))


def _wide_grey(image: Pillow.Image, container: Container) -> Iterator[View]:
    """Convert grey of more than 8 bits, or floating point, by each convention that viewers have."""
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    white_is_zero = tags.get(_TAG_PHOTOMETRIC) == 0  # Pillow inverts it for 8 bits only
    for index, (low, high, note) in enumerate(_ranges(image, values, container)):
        grey = _scale_to_uint8(values, low, high)
        if white_is_zero:
            grey = np.bitwise_not(grey)
        name = f"values from {low:g} to {high:g}" if index else ""
        yield View(np.repeat(grey[..., None], 3, axis=2), name, (note,))


def _ranges(
    image: Pillow.Image, values: Shaped[np.ndarray, "height width"], container: Container
) -> Iterator[tuple[float, float, str]]:
    """Values of black and white, with a note; the plain ones first."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise damaged("no pixel value is a number")
    low, high = float(finite.min()), float(finite.max())
    scaled = "values from {:g} to {:g} scaled to 0 to 255"
    if image.mode.startswith("I;"):
        tags = getattr(image, "tag_v2", {})
        yield 0, (1 << (12 if tags.get(_TAG_BITS) == (12,) else 16)) - 1, _NOTE_16_BITS
        # Programs for science and medicine stretch a TIFF; nobody stretches a PNG.
        if container.format == "TIFF":
            yield low, high, scaled.format(low, high)
        return
    unit = values.dtype.kind == "f" and low >= 0 and high <= 1
    plain = (0.0, 1.0) if unit else (low, high)
    ranges = [plain, (low, high), (0.0, 1.0), (0.0, 255.0), (0.0, 65535.0)]
    for start, end in dict.fromkeys(ranges):
        yield start, end, scaled.format(start, end)


def _scale_to_uint8(
    values: Shaped[np.ndarray, "height width"], low: float, high: float
) -> UInt8[np.ndarray, "height width"]:
    """Scale linearly from black at ``low`` to white at ``high``; NaN becomes black."""
    grey = np.empty(values.shape, np.uint8)
    width = max(high - low, np.finfo(np.float64).tiny)
    for row, out in zip(values, grey, strict=True):  # a row at a time: doubles need memory
        scaled = np.rint((row.astype(np.float64) - low) * 255 / width)
        out[:] = np.clip(np.nan_to_num(scaled, posinf=255), 0, 255)
    return grey
