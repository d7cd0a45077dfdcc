"""SLIC, Felzenszwalb, Compact Watershed and Quickshift of scikit-image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from skimage import color, filters, segmentation

from counterveil.segmentation import check_inputs
from counterveil.segmentation.regions import connected_regions
from counterveil.types import AttributionMap, Image, Labels


class SkimageSegmentation(ABC):
    """A method of scikit-image behind the ``Segmentation`` protocol.

    Attributes have the names and meanings of scikit-image. All methods ignore guidance and
    ``rng``: the same image gives the same regions.
    """

    _min_side: ClassVar[int] = 1  # of an image, in pixels; a narrower image is one region

    def __call__(
        self,
        image: Image,
        *,
        guidance: AttributionMap | None = None,
        rng: np.random.Generator | None = None,
    ) -> Labels:
        """Labels as the protocol describes them; guidance and ``rng`` are ignored."""
        check_inputs(image, guidance)
        if min(image.shape[:2]) < self._min_side:
            return np.zeros(image.shape[:2], dtype=np.int32)
        min_size = self._min_region_size(image.shape[0] * image.shape[1])
        colours = image.astype(np.float64) if min_size > 1 else None
        return connected_regions(self._raw_labels(image), min_size=min_size, image=colours)

    @abstractmethod
    def _raw_labels(self, image: Image) -> Any:
        """Labels of scikit-image, ``(H, W)``; a label may have several components."""

    def _min_region_size(self, area: int) -> int:
        """Smallest component to keep in an image of this area, in pixels."""
        return 1


@dataclass(frozen=True)
class Slic(SkimageSegmentation):
    """k-means in colour and position, with the paper's parameters.

    References:
        Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", 2012.
    """

    n_segments: int = 25
    compactness: float = 1.0

    def _raw_labels(self, image: Image) -> Any:
        return segmentation.slic(
            image, n_segments=self.n_segments, compactness=self.compactness, start_label=0
        )


@dataclass(frozen=True)
class Felzenszwalb(SkimageSegmentation):
    """Minimum spanning tree of the pixel graph, with the paper's parameters.

    References:
        Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", 2004.
    """

    scale: float = 500
    sigma: float = 0.5
    min_size: int = 200
    _min_side: ClassVar[int] = 2  # its grid graph needs two rows and two columns

    def _raw_labels(self, image: Image) -> Any:
        return segmentation.felzenszwalb(
            image, scale=self.scale, sigma=self.sigma, min_size=self.min_size
        )

    def _min_region_size(self, area: int) -> int:
        # Its graph joins diagonal neighbours, so a region may have several 4-connected components;
        # the small ones merge with a neighbour.
        return min(self.min_size, max(2, area // 500))


@dataclass(frozen=True)
class Watershed(SkimageSegmentation):
    """Compact watershed of the image gradient from a grid of markers, as in the paper.

    References:
        Neubert and Protzel, "Compact Watershed and Preemptive SLIC", 2014.
    """

    markers: int = 25
    compactness: float = 0.001
    _min_side: ClassVar[int] = 2  # its marker grid needs two rows and two columns

    def _raw_labels(self, image: Image) -> Any:
        markers = min(self.markers, image.shape[0] * image.shape[1])
        gradient = filters.sobel(color.rgb2gray(image))
        return segmentation.watershed(gradient, markers=markers, compactness=self.compactness)


@dataclass(frozen=True)
class Quickshift(SkimageSegmentation):
    """Mode seeking in colour and position, with the parameters of SEDC's authors.

    References:
        Vedaldi and Soatto, "Quick Shift and Kernel Methods for Mode Seeking", 2008.
    """

    kernel_size: float = 4
    max_dist: float = 200
    ratio: float = 0.2

    def _raw_labels(self, image: Image) -> Any:
        # Its generator only breaks ties; a fixed seed gives the same image the same regions.
        return segmentation.quickshift(
            image, kernel_size=self.kernel_size, max_dist=self.max_dist, ratio=self.ratio, rng=0
        )

    def _min_region_size(self, area: int) -> int:
        # It joins pixels of one mode wherever they are, so small components are left over.
        return max(2, area // 2000)
