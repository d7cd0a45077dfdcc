"""Segmentation of an image into connected regions, or into objects and background.

Every segmentation returns ``int32`` labels ``0 .. K-1``, each one 4-connected, for an image of any
size and content. An object segmenter returns the probability that a pixel belongs to an object.
Importing this package loads neither numba nor torch; the constructors in ``SEGMENTATIONS`` and
``OBJECT_SEGMENTERS`` load them when called.

| spec | object segmenter |
|---|---|
| ``u2netp:``, ``u2netp:FILE.onnx`` | U²-Net's small network: what stands out, people and things |
| ``sam:REPO_OR_FOLDER`` | Segment Anything: the objects at the masked parts |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from counterveil.errors import UsageError
from counterveil.registry import lazy_callable, load_spec, make_component
from counterveil.segmentation.regions import connected_regions, region_scores
from counterveil.types import AttributionMap, ForegroundMap, Image, Labels, Mask, ModelInfo

__all__ = ["OBJECT_SEGMENTERS", "SEGMENTATIONS", "LoadsWeights", "ObjectSegmenter", "Segmentation",
           "connected_regions", "load_object_segmenter", "make", "region_scores"]  # fmt: skip


class Segmentation(Protocol):
    """Divides an image into regions."""

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
            guidance: attribution map ``(H, W)``, any scale, non-negative. A method that supports
                it makes regions finer where it is high; the other methods ignore it.
            rng: for methods that draw random numbers; the same state gives the same labels.

        Raises:
            UsageError: image or guidance is malformed, or their sizes differ.
        """
        ...


@runtime_checkable
class LoadsWeights(Segmentation, Protocol):
    """A segmentation with weights that can be loaded before the first image."""

    def load(self) -> None:
        """Loads the weights now instead of on the first call.

        Raises:
            ModelError: the weights cannot be found or loaded.
        """
        ...


class ObjectSegmenter(Protocol):
    """Tells objects and people from their background."""

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash for records."""
        ...

    def __call__(self, image: Image, *, core_mask: Mask) -> ForegroundMap:
        """Probability that a pixel belongs to an object, ``(H, W)``, 0 to 1.

        Args:
            image: ``(H, W, 3)``, any size.
            core_mask: parts of the objects that are looked for, ``(H, W)``. A method that finds
                all objects of an image ignores it.
        """
        ...


SEGMENTATIONS: Mapping[str, Callable[..., Segmentation]] = MappingProxyType(
    {
        "bass": lazy_callable("counterveil.segmentation.bass", "Bass"),
        "slic": lazy_callable("counterveil.segmentation.skimage_methods", "Slic"),
        "felzenszwalb": lazy_callable("counterveil.segmentation.skimage_methods", "Felzenszwalb"),
        "watershed": lazy_callable("counterveil.segmentation.skimage_methods", "Watershed"),
        "quickshift": lazy_callable("counterveil.segmentation.skimage_methods", "Quickshift"),
        "sam": lazy_callable("counterveil.segmentation.sam", "Sam"),
    }
)

OBJECT_SEGMENTERS: Mapping[str, Callable[..., ObjectSegmenter]] = MappingProxyType(
    {
        "u2netp": lazy_callable("counterveil.segmentation.u2netp", "load"),
        "sam": lazy_callable("counterveil.segmentation.sam_objects", "load"),
    }
)


def make(name: str, **options: Any) -> Segmentation:
    """The segmentation with this name; ``options`` are passed to its constructor.

    Raises:
        UsageError: the name or an option is unknown.
    """
    return make_component("segmentation", SEGMENTATIONS, name, options)


def load_object_segmenter(
    spec: str, *, device: str = "cpu", folder: Path | None = None
) -> ObjectSegmenter:
    """Load the object segmenter of a spec, ``scheme:argument``; its weights are loaded now.

    ``folder`` is where relative paths start; default: the current folder.

    Raises:
        UsageError: the scheme is unknown.
        ModelError: the weights cannot be found or loaded.
        MissingExtraError: the package with the weights is not installed.
    """
    return load_spec("object segmenter", OBJECT_SEGMENTERS, spec, device=device, folder=folder)


def check_inputs(image: Image, guidance: AttributionMap | None) -> None:
    """Checks image and guidance.

    Raises:
        UsageError: image or guidance is malformed, or their sizes differ.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise UsageError(f"expected a uint8 image (H, W, 3), got {image.dtype} {image.shape}")
    if guidance is None:
        return
    if guidance.shape != image.shape[:2]:
        raise UsageError(
            f"guidance of shape {guidance.shape} does not fit an image of {image.shape[:2]}"
        )
    if not np.isfinite(guidance).all() or guidance.min() < 0:
        raise UsageError("guidance must be finite and non-negative")
