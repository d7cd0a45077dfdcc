"""Which pixels belong together: partitions of an image into connected regions.

Every segmentation returns ``int32`` labels ``0 .. K-1``, each one 4-connected, for an image of
any size and content. Importing this package loads neither numba nor torch: the constructors in
``SEGMENTATIONS`` do, when called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from counterveil.registry import lazy_callable, make_component
from counterveil.segmentation.connectivity import connect
from counterveil.segmentation.importance import rank, region_scores
from counterveil.types import AttributionMap, Image, Labels

__all__ = ["SEGMENTATIONS", "Segmentation", "connect", "make", "rank", "region_scores"]


class Segmentation(Protocol):
    """Maps an image to regions."""

    def __call__(
        self,
        image: Image,
        *,
        guidance: AttributionMap | None = None,
        rng: np.random.Generator | None = None,
    ) -> Labels:
        """Labels ``(H, W)``, ``0 .. K-1`` without gaps, each one 4-connected.

        Args:
            image: ``(H, W, 3)``, any size.
            guidance: how much each pixel matters, ``(H, W)``, at any scale, never negative;
                a method that can makes its regions finer where it is high, others ignore it.
            rng: for the methods that draw; the same state gives the same labels.

        Raises:
            UsageError: image and guidance do not fit together, or are malformed.
        """
        ...


SEGMENTATIONS: Mapping[str, Callable[..., Segmentation]] = MappingProxyType(
    {
        "bass": lazy_callable("counterveil.segmentation.bass", "Bass"),
        "slic": lazy_callable("counterveil.segmentation.slic", "Slic"),
        "felzenszwalb": lazy_callable("counterveil.segmentation.felzenszwalb", "Felzenszwalb"),
        "watershed": lazy_callable("counterveil.segmentation.watershed", "Watershed"),
        "quickshift": lazy_callable("counterveil.segmentation.quickshift", "Quickshift"),
        "sam": lazy_callable("counterveil.segmentation.sam", "Sam"),
    }
)


def make(name: str, **options: Any) -> Segmentation:
    """The segmentation of that name, its constructor given ``options``.

    Raises:
        UsageError: no segmentation has that name, or it takes no such option.
    """
    return make_component("segmentation", SEGMENTATIONS, name, options)
