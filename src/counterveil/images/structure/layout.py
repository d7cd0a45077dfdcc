"""What the walk over a file's blocks found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """What the walk over a file's blocks found.

    Attributes:
        frames: the file holds; ``None`` where the codec has to be asked.
        end: offset behind the last block; ``None`` where unknown.
        depth: bits a channel, where the codec does not tell.
    """

    frames: int | None = None
    end: int | None = None
    depth: int = 8
