"""Segmentation of an image into connected regions.

Every segmentation returns ``int32`` labels ``0 .. K-1``, each one 4-connected, for an image of any
size and content. Importing this package loads neither numba nor torch; the constructors in
``SEGMENTATIONS`` load them when called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from counterveil.registry import lazy_constructor, make_component
from counterveil.segmentation.protocol import LoadsWeights, Segmentation
from counterveil.segmentation.regions import connected_regions, region_scores

__all__ = [
    "SEGMENTATIONS",
    "LoadsWeights",
    "Segmentation",
    "connected_regions",
    "make",
    "region_scores",
]

SEGMENTATIONS: Mapping[str, Callable[..., Segmentation]] = MappingProxyType(
    {
        "bass": lazy_constructor("counterveil.segmentation.bass", "Bass"),
        "slic": lazy_constructor("counterveil.segmentation.skimage_methods", "Slic"),
        "felzenszwalb": lazy_constructor("counterveil.segmentation.skimage_methods", "Felzenszwalb"),
        "watershed": lazy_constructor("counterveil.segmentation.skimage_methods", "Watershed"),
        "quickshift": lazy_constructor("counterveil.segmentation.skimage_methods", "Quickshift"),
        "sam": lazy_constructor("counterveil.segmentation.sam", "Sam"),
    }
)


def make(name: str, **options: Any) -> Segmentation:
    """The segmentation with this name; ``options`` are passed to its constructor.

    Raises:
        UsageError: the name or an option is unknown.
    """
    return make_component("segmentation", SEGMENTATIONS, name, options)
