"""What veiled pixels become, and compositing that leaves every other pixel as it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFilter

from counterveil.errors import UsageError
from counterveil.types import Image, Images, Masks

COLOURS = MappingProxyType({"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128)})
"""Constant fills by name, RGB."""

MIN_BLUR = Fraction(1, 16)
"""Weakest blur: its radius as a part of the image's shorter side."""

MAX_BLOCKS = 8
"""Weakest pixelation: how many blocks lie along the image's shorter side."""

_HELP = "choose black, white, grey, #rrggbb, blur[:radius] or pixelate[:blocks]"


@dataclass(frozen=True)
class Fill:
    """What veiled pixels become; make one with ``fill``.

    Attributes:
        name: as ``fill`` reads it back.
        reversible_risk: veiled pixels are derived from the hidden ones, which a network may
            recognise or restore in part; ``False`` means that nothing of them is left.
        paint: the whole image ``(H, W, 3)`` painted over, or one colour ``(3,)`` for all of it.
    """

    name: str
    reversible_risk: bool
    paint: Callable[[Image], np.ndarray] = field(compare=False, repr=False)

    def __call__(self, image: Image, masks: Masks) -> Images:
        """Veil one image under each of B masks.

        Args:
            image: ``(H, W, 3)``.
            masks: ``(B, H, W)``, ``True`` = veiled.

        Returns:
            New images ``(B, H, W, 3)``; pixels outside a mask are bit-identical to ``image``.

        Raises:
            UsageError: the masks are not boolean, or not of the image's size.
        """
        if masks.dtype != np.bool_ or masks.ndim != 3 or masks.shape[1:] != image.shape[:2]:
            raise UsageError(
                f"masks are bool (batch, {image.shape[0]}, {image.shape[1]}) for this image, "
                f"got {masks.dtype} {masks.shape}"
            )
        return composite(image, self.painted(image), masks)

    def painted(self, image: Image) -> Image:
        """What shows where an image is veiled, ``(H, W, 3)``."""
        return np.broadcast_to(self.paint(image), image.shape)


def composite(image: Image, paint: Image, masks: Masks) -> Images:
    """New images ``(B, H, W, 3)``: ``paint`` where a mask is ``True``, else ``image``."""
    # image ^ ((image ^ paint) & mask) is eight times faster than np.where, and makes one array.
    height, width, channels = image.shape
    veiled = np.repeat(-masks.view(np.int8), channels, axis=2).view(np.uint8)  # (B, H, 3 W)
    veiled &= (image ^ paint).reshape(height, -1)
    veiled ^= image.reshape(height, -1)
    return veiled.reshape(len(masks), height, width, channels)


def fill(name: str) -> Fill:
    """The fill of a name.

    ``black``, ``white``, ``grey`` and ``#rrggbb`` are constant: never derived from what they hide,
    so nothing can be read back. ``blur:RADIUS`` and ``pixelate:BLOCKS`` are for viewing comfort
    only and carry ``reversible_risk``: networks recognise faces and objects through both, and
    pixelated text was restored. Their strength is told relative to the image, since what survives
    depends on how many independent values are left across an object, not on pixels: 16 pixels of
    blur hide a thumbnail and hardly touch a photograph. ``RADIUS`` is the Gaussian's standard
    deviation as a part of the shorter side, at least 1/16 (``blur`` alone: 1/8); ``BLOCKS`` is
    their number along the shorter side, at most 8 (``pixelate`` alone: 6). At these bounds an
    object that spans half the image keeps about four values across. Weaker ones are refused.

    Args:
        name: as above, such as ``"black"``, ``"#303030"``, ``"blur:1/10"`` or ``"pixelate:4"``.

    Raises:
        UsageError: no such fill, or one too weak to hide anything.

    References:
        McPherson, Shokri, Shmatikov, "Defeating Image Obfuscation with Deep Learning",
        arXiv:1609.00408, 2016. Depix, a tool that restores pixelated text, 2020.

    Example:
        >>> import numpy as np
        >>> image, mask = np.full((2, 2, 3), 7, np.uint8), np.eye(2, dtype=bool)
        >>> fill("black")(image, mask[None])[0, :, :, 0].tolist()
        [[0, 7], [7, 0]]
    """
    word, colon, strength = name.strip().lower().partition(":")
    if word == "blur":
        return _blur(strength if colon else "1/8")
    if word == "pixelate":
        return _pixelate(strength if colon else "6")
    if word in COLOURS and not colon:
        return _constant(word, COLOURS[word])
    if re.fullmatch("#[0-9a-f]{6}", word) and not colon:
        red, green, blue = bytes.fromhex(word[1:])
        return _constant(word, (red, green, blue))
    raise UsageError(f"no fill is called {name!r}; {_HELP}")


def _constant(name: str, colour: tuple[int, int, int]) -> Fill:
    value = np.array(colour, np.uint8)
    return Fill(name, False, lambda image: value)


def _blur(strength: str) -> Fill:
    part = _number(strength, "blur")
    if not MIN_BLUR <= part <= 1:
        raise UsageError(
            f"blur:{strength} hides too little or makes no sense: the radius is a part of the "
            f"image's shorter side, from {MIN_BLUR} to 1"
        )

    def paint(image: Image) -> Image:
        radius = float(part) * min(image.shape[:2])
        return np.asarray(Pillow.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))

    return Fill(f"blur:{part}", True, paint)


def _pixelate(strength: str) -> Fill:
    blocks = _number(strength, "pixelate")
    if not 1 <= blocks <= MAX_BLOCKS or blocks.denominator != 1:
        raise UsageError(
            f"pixelate:{strength} hides too little or makes no sense: it is the whole number of "
            f"blocks along the image's shorter side, from 1 to {MAX_BLOCKS}"
        )

    def paint(image: Image) -> Image:
        return _mosaic(image, int(blocks))

    return Fill(f"pixelate:{blocks}", True, paint)


def _number(text: str, word: str) -> Fraction:
    if not re.fullmatch(r"\d{0,6}\.?\d{1,6}|\d{1,6}/0*[1-9]\d{0,5}", text, re.ASCII):
        raise UsageError(f"{word}:{text}: {text!r} is no number; {_HELP}")
    return Fraction(text)


def _mosaic(image: Image, blocks: int) -> Image:
    """Mean colour of each block; about square, ``blocks`` along the shorter side."""
    height, width = image.shape[:2]
    side = max(1, min(height, width) / blocks)
    rows, columns = (_edges(length, side) for length in (height, width))
    sums = np.add.reduceat(image.astype(np.uint32), rows[:-1], axis=0)
    sums = np.add.reduceat(sums.astype(np.uint64), columns[:-1], axis=1)
    areas = np.diff(rows)[:, None] * np.diff(columns)  # (rows, columns)
    means = np.rint(sums / areas[..., None]).astype(np.uint8)
    mosaic: Image = np.repeat(np.repeat(means, np.diff(rows), 0), np.diff(columns), 1)
    return mosaic


def _edges(length: int, side: float) -> np.ndarray:
    return np.rint(np.linspace(0, length, max(1, round(length / side)) + 1)).astype(np.intp)
