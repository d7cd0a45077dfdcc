"""Base class of the methods that need a torch module: batching, resizing, input gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.autograd.graph import GradientEdge

from counterveil.errors import ModelError, UnsupportedModelError
from counterveil.fills import Fill
from counterveil.types import AttributionMap, Classifier, GradientClassifier, Image, Images, Labels


class TorchAttribution(ABC):
    """A method for a ``GradientClassifier``, with at most ``batch_size`` images per forward."""

    needs_regions = False
    needs_gradients = True
    name: ClassVar[str]

    def __init__(self, *, batch_size: int = 8) -> None:
        self.batch_size = batch_size

    def __call__(
        self,
        classifier: Classifier,
        image: Image,
        *,
        labels: Labels | None = None,
        fill: Fill | None = None,
    ) -> AttributionMap:
        """The map ``(H, W)`` of one image ``(H, W, 3)``; ``labels`` and ``fill`` are ignored."""
        return cast(AttributionMap, self.maps(classifier, image[None])[0])

    def maps(
        self, classifier: Classifier, images: Images
    ) -> Float32[np.ndarray, "batch height width"]:
        """The maps ``(B, H, W)`` of images ``(B, H, W, 3)``, each as if it were alone."""
        if not isinstance(classifier, GradientClassifier):
            raise UnsupportedModelError(
                f"{self.name} needs a torch module, and {classifier.info.name!r} only scores; "
                "use the 'occlusion' attribution, which needs scores only"
            )
        size = (images.shape[1], images.shape[2])
        parts = [np.zeros((0, *size), np.float32)]
        with torch.inference_mode(False), torch.no_grad():  # the caller may be in inference mode
            for start in range(0, len(images), self.batch_size):
                inputs = classifier.to_input(images[start : start + self.batch_size])
                # An image may have several views; each is an input of its own.
                views = [self._maps(classifier, each) for each in inputs.split(self.batch_size)]
                maps = classifier.to_image_maps(torch.cat(views), size)  # (b, H, W)
                parts.append(maps.clamp(min=0).float().cpu().numpy())
        if not all(np.isfinite(part).all() for part in parts):
            raise ModelError(f"{self.name}: the model gave values that are not finite")
        return np.concatenate(parts)

    @abstractmethod
    def _maps(self, classifier: GradientClassifier, inputs: Tensor) -> Tensor:
        """Maps ``(B, h, w)``, of any resolution, of inputs ``(B, 3, h, w)``, without a graph."""


def gradient_of(value: Tensor, source: Tensor | GradientEdge, name: str) -> Tensor:
    """Gradient of values ``(B,)``, each of its own image, with respect to ``source`` only."""
    gradient: Tensor | None = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value.sum(), source, allow_unused=True)
    if gradient is None:
        raise UnsupportedModelError(
            f"{name}: no gradient flows from the model's output to the input or layer; "
            "use the 'occlusion' attribution"
        )
    return gradient
