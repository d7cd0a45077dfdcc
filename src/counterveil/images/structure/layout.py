"""Result of the structure check of one file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Result of the structure check of one file.

    Attributes:
        frames: number of frames; ``None`` where only the codec knows.
        end: offset behind the last block; ``None`` where unknown.
        bit_depth: bits per channel, where Pillow does not tell.
    """

    frames: int | None = None
    end: int | None = None
    bit_depth: int = 8
