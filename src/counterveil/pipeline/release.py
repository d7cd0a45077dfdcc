"""What ships is what was verified: veil, encode, decode again, score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterveil.errors import VerificationError
from counterveil.fills import Fill
from counterveil.images import decode_clean, encode_mask, encode_png
from counterveil.pipeline.components import CategoryClassifier
from counterveil.types import Image, Mask


@dataclass(frozen=True, eq=False)
class File:
    """Bytes to be written, and their hash."""

    data: bytes
    sha256: str


@dataclass(frozen=True, eq=False)
class Release:
    """A veiled image as it will be written, scored from those very bytes.

    Attributes:
        pixels: of the veiled image.
        veiled: its file, PNG.
        mask: the mask's file, 8-bit PNG, 255 = veiled.
        scores: P(unsafe) of each category on the decoded file.
        safe: every category scores below its threshold.
    """

    pixels: Image
    veiled: File
    mask: File
    scores: dict[str, float]
    safe: bool


def release(
    pixels: Image, mask: Mask, fill: Fill, watches: Sequence[CategoryClassifier]
) -> Release:
    """Make the files and check them.

    Raises:
        VerificationError: the file does not decode to what was encoded, or a safe pixel changed.
    """
    veiled = fill(pixels, mask[None])[0]
    data = encode_png(veiled)
    decoded = decode_clean(data)
    if not np.array_equal(decoded, veiled):
        raise VerificationError("the encoded file does not decode to the veiled image; report this")
    if not np.array_equal(decoded[~mask], pixels[~mask]):
        raise VerificationError("a pixel outside the mask changed; the fill is at fault")
    scores = {w.category.key: float(w.classifier.score(decoded[None])[0]) for w in watches}
    safe = all(scores[w.category.key] < w.category.threshold for w in watches)
    return Release(decoded, _file(data), _file(encode_mask(mask)), scores, safe)


def _file(data: bytes) -> File:
    return File(data, hashlib.sha256(data).hexdigest())
