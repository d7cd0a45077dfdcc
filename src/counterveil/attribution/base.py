"""What the methods that open a torch classifier share: batches in, maps at image size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, cast

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn import functional

from counterveil.attribution import Filler
from counterveil.errors import ModelError, UnsupportedModelError
from counterveil.types import AttributionMap, Classifier, Image, Images, Labels

AttributionMaps = Float32[np.ndarray, "batch height width"]


class OpenClassifier(Protocol):
    """A classifier whose inside is a torch module."""

    module: nn.Module

    def to_input(self, images: Images) -> Tensor:
        """The module's input ``(B, 3, h, w)``."""
        ...

    def target(self, logits: Tensor) -> Tensor:
        """The scalar to explain, ``(B,)``, of logits ``(B, C)``."""
        ...


class TorchAttribution(ABC):
    """A method that opens a torch classifier; no regions needed.

    Args:
        batch: most images in one forward and backward.
    """

    needs_regions = False
    name: ClassVar[str]

    def __init__(self, *, batch: int = 8) -> None:
        self.batch = batch

    def __call__(
        self,
        classifier: Classifier,
        image: Image,
        *,
        labels: Labels | None = None,
        fill: Filler | None = None,
    ) -> AttributionMap:
        """The map ``(H, W)`` of one image ``(H, W, 3)``; ``labels`` and ``fill`` go unused."""
        return cast(AttributionMap, self.maps(classifier, image[None])[0])

    def maps(self, classifier: Classifier, images: Images) -> AttributionMaps:
        """The maps ``(B, H, W)`` of images ``(B, H, W, 3)``, each as if it came alone.

        Raises:
            UnsupportedModelError: the method cannot serve this classifier.
            ModelError: the model's gradients or activations are not finite.
        """
        opened = open_up(classifier, self.name)
        size = (images.shape[1], images.shape[2])
        parts = [np.zeros((0, *size), np.float32)]
        with torch.inference_mode(False), torch.no_grad():
            for start in range(0, len(images), self.batch):
                inputs = opened.to_input(images[start : start + self.batch])
                maps = resized(self._maps(opened, inputs), size)  # (b, H, W)
                parts.append(maps.clamp(min=0).float().cpu().numpy())
        if not all(np.isfinite(part).all() for part in parts):
            raise ModelError(f"{self.name}: the model gave values that are not finite")
        return np.concatenate(parts)

    @abstractmethod
    def _maps(self, classifier: OpenClassifier, inputs: Tensor) -> Tensor:
        """Maps ``(B, h, w)``, of any resolution, of inputs ``(B, 3, h, w)``; no graph."""


def open_up(classifier: Classifier, name: str) -> OpenClassifier:
    """The classifier as one that can be looked into.

    Raises:
        UnsupportedModelError: it only scores.
    """
    # By attributes and not by `isinstance`, which does not see what a wrapper passes through.
    ready = all(callable(getattr(classifier, part, None)) for part in ("to_input", "target"))
    if ready and isinstance(getattr(classifier, "module", None), nn.Module):
        return cast(OpenClassifier, classifier)
    raise UnsupportedModelError(
        f"{name} looks inside a torch module, and {classifier.info.name!r} only scores; "
        "use the 'occlusion' attribution, which needs no more than scores"
    )


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``(B, h, w)`` at ``size``, bilinear, pixel centres (not corners) aligned."""
    if tuple(maps.shape[1:]) == size:
        return maps
    return functional.interpolate(maps[:, None], size, mode="bilinear", antialias=True)[:, 0]


def gradient_of(value: Tensor, source: Tensor | GradientEdge, name: str) -> Tensor:
    """D value / d source, for values ``(B,)`` that each depend on their own image.

    To the source and nowhere else: no weight gradient is computed or stored.

    Raises:
        UnsupportedModelError: the value does not depend on the source, as far as torch knows.
    """
    found: Tensor | None = None
    if value.requires_grad:
        (found,) = torch.autograd.grad(value.sum(), source, allow_unused=True)
    if found is None:
        raise UnsupportedModelError(
            f"{name}: no gradient reaches what it needs from the model's output; "
            "use the 'occlusion' attribution"
        )
    return found
