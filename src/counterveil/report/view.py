"""What a report shows of one image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """Pictures of one record, small enough to embed; none of them is the original.

    The veiled picture lies below, the others are laid over it when asked for, so each may be
    of another resolution.

    Attributes:
        veiled: the veiled picture, WebP or PNG.
        attribution_map: where the classifier looked, PNG with alpha, coarse; ``None`` without a map.
        regions: boundaries of the regions outside the veil, PNG with alpha.
        mask: what is veiled, PNG with alpha.
    """

    veiled: bytes
    attribution_map: bytes | None = None
    regions: bytes | None = None
    mask: bytes | None = None
