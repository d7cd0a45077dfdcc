"""Quickshift, from scikit-image, with the parameters of SEDC's authors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterveil.segmentation._check import check
from counterveil.segmentation.connectivity import connect
from counterveil.types import AttributionMap, Image, Labels


@dataclass(frozen=True)
class Quickshift:
    """Climbs to modes of the density in colour and place. Ignores guidance and ``rng``.

    Attributes:
        kernel: width, in pixels, of the Gaussian that estimates the density.
        reach: longest step to a denser pixel, in pixels and colour; longer ones part regions.
        ratio: weight of colour against place, 0 to 1.

    References:
        Vedaldi and Soatto, "Quick Shift and Kernel Methods for Mode Seeking", 2008.
    """

    kernel: float = 4
    reach: float = 200
    ratio: float = 0.2

    def __call__(
        self,
        image: Image,
        *,
        guidance: AttributionMap | None = None,
        rng: np.random.Generator | None = None,
    ) -> Labels:
        """Labels ``(H, W)``, ``0 .. K-1``, each one 4-connected; guidance is ignored.

        Raises:
            UsageError: the image is none, or guidance does not fit it.
        """
        from skimage.segmentation import quickshift

        check(image, guidance)
        # Its generator only breaks ties; a fixed one gives the same image the same regions.
        found = quickshift(
            image, kernel_size=self.kernel, max_dist=self.reach, ratio=self.ratio, rng=0
        )
        # It joins pixels of one mode, wherever they lie: crumbs go back to a neighbour.
        smallest = max(2, image.shape[0] * image.shape[1] // 2000)
        return connect(found, minimum=smallest, image=image.astype(np.float64))
