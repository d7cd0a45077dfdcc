"""Compact Watershed, from scikit-image, with the paper's parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterveil.segmentation._check import check
from counterveil.segmentation.connectivity import connect
from counterveil.types import AttributionMap, Image, Labels


@dataclass(frozen=True)
class Watershed:
    """Floods the gradient of the image from a grid of markers. Draws nothing at random.

    Attributes:
        markers: regions aimed at.
        compactness: weight of place against gradient.

    References:
        Neubert and Protzel, "Compact Watershed and Preemptive SLIC", 2014.
    """

    markers: int = 25
    compactness: float = 0.001

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
        from skimage.color import rgb2gray
        from skimage.filters import sobel
        from skimage.segmentation import watershed

        check(image, guidance)
        if min(image.shape[:2]) < 2:  # its marker grid needs two rows and two columns
            return np.zeros(image.shape[:2], dtype=np.int32)
        slope = sobel(rgb2gray(image))
        wanted = min(self.markers, image.shape[0] * image.shape[1])
        return connect(watershed(slope, markers=wanted, compactness=self.compactness))
