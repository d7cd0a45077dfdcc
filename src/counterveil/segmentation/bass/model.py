"""What BASS believes of regions before it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Acceptance = Literal["marginal", "hastings"]


@dataclass(frozen=True)
class Model:
    """The priors.

    Attributes:
        color_std: of a region's colour, in CIELAB / 100: half of it in the sweep; in the
            acceptance it stands, as in the authors' program, where the variance belongs.
        potts: weight of smooth borders, per 8-neighbour.
        alpha: concentration of the Dirichlet process: higher makes merging rarer.
        acceptance: of splits and merges: by the ratio of marginals, or by the published
            Hastings ratios.
        guidance_weight: 0 ignores guidance; at 1 the hottest regions are asked to be a quarter
            of the size and tolerate a quarter of the variance.
    """

    color_std: float = 0.018
    potts: float = 0.5
    alpha: float = 0.5
    acceptance: Acceptance = "marginal"
    guidance_weight: float = 1.0

    @property
    def weight(self) -> float:
        """Root of the precision of a colour channel."""
        return 2 / self.color_std
