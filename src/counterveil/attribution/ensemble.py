"""FullGrad and Grad-CAM together: outlines from the one, the whole object from the other."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from counterveil.attribution.base import TorchAttribution
from counterveil.attribution.cams import GradCam
from counterveil.attribution.fullgrad import FullGrad
from counterveil.attribution.layers import borrowed, layer_error, output_tensor
from counterveil.classifiers.preprocessing import resize_maps
from counterveil.types import GradientClassifier

_TINY = 1e-12


class FullGradAndGradCam(TorchAttribution):
    """Mean of the two maps, each divided by its own mean.

    FullGrad follows outlines and details, also of the background. Grad-CAM reads the last layer
    only: it is coarse, and close to the thing itself. Each is wrong on other photographs
    (``docs/log.md``).

    References:
        Rieger and Hansen, "A simple defense against adversarial attacks on heatmap explanations",
        2020, on means of several attributions.
    """

    name: ClassVar[str] = "fullgrad+gradcam"

    def __init__(self, *, batch_size: int = 8) -> None:
        super().__init__(batch_size=batch_size)
        self._full_grad = FullGrad(batch_size=batch_size)
        self._grad_cam = GradCam(batch_size=batch_size)

    def _maps(self, classifier: GradientClassifier, inputs: Tensor) -> Tensor:
        module, size = classifier.module, (inputs.shape[-2], inputs.shape[-1])
        layer = self._grad_cam.resolve_layer(module, inputs)
        activations: list[Tensor] = []
        gradients: list[Tensor] = []

        def record(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            tensor = output_tensor(output)
            if tensor.requires_grad:
                # Copied, and hooked at once, before an in-place layer changes it.
                activations.append(tensor.detach().clone())
                tensor.register_hook(gradients.append)

        with borrowed(module, {layer: record}):  # FullGrad's own pass gives both
            full_grad = self._full_grad._maps(classifier, inputs)
        if not gradients:
            raise layer_error("took no part in the forward")
        grad_cam = self._grad_cam.weighted_map(layer, activations[-1], gradients[-1], size)
        return (_normalised(full_grad, size) + _normalised(grad_cam, size)) / 2


def _normalised(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``(B, h, w)`` at a size, each with the mean 1; a map of zeros stays zero."""
    resized = resize_maps(maps, size)
    return resized / resized.mean((1, 2), keepdim=True).clamp(min=_TINY)
