"""Result of the structure check of one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AlphaKind = Literal["straight", "premultiplied", "unspecified"]


@dataclass(frozen=True)
class Layout:
    """Result of the structure check of one file.

    Attributes:
        frames: number of frames; ``None`` where only the codec knows.
        end: offset behind the last block; ``None`` where unknown.
        bit_depth: bits per channel, where Pillow does not tell.
        key: transparent colour of a PNG, as in the file: one grey, or red, green and blue.
        alpha: what the file says about its alpha channel; ``unspecified``: most viewers ignore it.
        pages: offset of each page of a TIFF.
        data: the file to give to the codec, where a block was left out or mended.
        notes: what was mended, for people.
        not_assessed: sentences on what no decoder here shows.
    """

    frames: int | None = None
    end: int | None = None
    bit_depth: int = 8
    key: tuple[int, ...] = ()
    alpha: AlphaKind = "straight"
    pages: tuple[int, ...] = ()
    data: bytes | None = None
    notes: tuple[str, ...] = ()
    not_assessed: tuple[str, ...] = ()
