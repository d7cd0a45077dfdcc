"""Felzenszwalb's graph-based segmentation, from scikit-image, with the paper's parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterveil.segmentation._check import check
from counterveil.segmentation.connectivity import connect
from counterveil.types import AttributionMap, Image, Labels


@dataclass(frozen=True)
class Felzenszwalb:
    """Joins pixels along a minimum spanning tree. Ignores guidance and draws nothing at random.

    Attributes:
        scale: higher means larger regions.
        sigma: width, in pixels, of the Gaussian that smooths the image first.
        min_size: smallest region, in pixels, before components are told apart.

    References:
        Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", 2004.
    """

    scale: float = 500
    sigma: float = 0.5
    min_size: int = 200

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
        from skimage.segmentation import felzenszwalb

        check(image, guidance)
        if min(image.shape[:2]) < 2:  # its grid graph needs two rows and two columns
            return np.zeros(image.shape[:2], dtype=np.int32)
        found = felzenszwalb(image, scale=self.scale, sigma=self.sigma, min_size=self.min_size)
        # Its graph joins diagonal neighbours, so a region can fall apart into 4-connected pieces;
        # the crumbs go back to a neighbour.
        smallest = min(self.min_size, max(2, image.shape[0] * image.shape[1] // 500))
        return connect(found, minimum=smallest, image=image.astype(np.float64))
