"""FullGrad and Grad-CAM together: outlines from the one, the whole object from the other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from counterveil.attribution.base import TorchAttribution
from counterveil.attribution.cams import GradCam
from counterveil.attribution.fullgrad import FullGrad
from counterveil.classifiers.preprocessing import resize_maps
from counterveil.types import GradientClassifier


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
        self._methods = (FullGrad(batch_size=batch_size), GradCam(batch_size=batch_size))

    def _maps(self, classifier: GradientClassifier, inputs: Tensor) -> Tensor:
        size = (inputs.shape[-2], inputs.shape[-1])
        parts = [resize_maps(each._maps(classifier, inputs), size) for each in self._methods]
        # A map without any argument counts as zero, not as a division by zero.
        return torch.stack(
            [part / part.mean((1, 2), keepdim=True).clamp(min=1e-12) for part in parts]
        ).mean(dim=0)
