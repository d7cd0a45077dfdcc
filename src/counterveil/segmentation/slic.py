"""SLIC, from scikit-image, with the paper's parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterveil.segmentation._check import check
from counterveil.segmentation.connectivity import connect
from counterveil.types import AttributionMap, Image, Labels


@dataclass(frozen=True)
class Slic:
    """K-means in colour and place. Ignores guidance and draws nothing at random.

    Attributes:
        segments: regions aimed at.
        compactness: weight of place against colour.

    References:
        Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", 2012.
    """

    segments: int = 25
    compactness: float = 1.0

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
        from skimage.segmentation import slic

        check(image, guidance)
        found = slic(image, n_segments=self.segments, compactness=self.compactness, start_label=0)
        return connect(found)
