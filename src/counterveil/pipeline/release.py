"""Step 4: encode the veiled image and verify the very bytes that are written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from counterveil.errors import VerificationError
from counterveil.fills import Fill
from counterveil.images import decode_clean, encode_mask, encode_png
from counterveil.pipeline.components import CategoryClassifier
from counterveil.types import Image, Mask


@dataclass(frozen=True, eq=False)
class EncodedFile:
    """Bytes to write, and their SHA-256."""

    data: bytes
    sha256: str


@dataclass(frozen=True, eq=False)
class Release:
    """A veiled image as it will be written, scored from those bytes.

    Attributes:
        pixels: of the veiled image, decoded from its file.
        veiled: PNG file.
        mask: 8-bit PNG file, 255 = veiled.
        scores: P(unsafe) of the decoded file, by category key.
        safe: every score is below its threshold.
    """

    pixels: Image
    veiled: EncodedFile
    mask: EncodedFile
    scores: Mapping[str, float]
    safe: bool


def release(
    pixels: Image, mask: Mask, fill: Fill, classifiers: Sequence[CategoryClassifier]
) -> Release:
    """Veil, encode, decode again, and score what was decoded.

    Raises:
        VerificationError: the file does not decode to the veiled image, or a safe pixel changed.
    """
    veiled = fill(pixels, mask[None])[0]
    # From here on, everything is read back from these bytes: they are what will be written.
    data = encode_png(veiled)
    decoded = decode_clean(data)
    if not np.array_equal(decoded, veiled):
        raise VerificationError(
            "the encoded file does not decode to the veiled image; please report it"
        )
    changed = decoded ^ pixels  # zero where equal; far faster than indexing by a mask
    if (changed[..., 0] | changed[..., 1] | changed[..., 2])[~mask].any():
        raise VerificationError("a pixel outside the mask changed; the fill is at fault")
    # Every category is scored, not only the flagged ones: a veil can raise another score.
    scores = {
        each.category.key: float(each.classifier.score(decoded[None])[0]) for each in classifiers
    }
    safe = all(scores[each.category.key] < each.category.threshold for each in classifiers)
    return Release(decoded, _encoded(data), _encoded(encode_mask(mask)), scores, safe)


def _encoded(data: bytes) -> EncodedFile:
    return EncodedFile(data, hashlib.sha256(data).hexdigest())
