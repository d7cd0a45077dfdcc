"""Grad-CAM++: channels weighed by their positive gradients, pixel by pixel."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from counterveil.attribution.cam import GradientCam


class GradCamPlusPlus(GradientCam):
    """``weight = sum of alpha * relu(g)``, ``alpha = g^2 / (2 g^2 + sum(A) g^3)``, g = dy/dA.

    The paper explains ``exp(y)``, whose gradient differs by a factor that is the same
    everywhere in an image; it is left out. pytorch-grad-cam adds 1e-6 to alpha's denominator,
    which outweighs small gradients: a model with a small head gets another map. Here the
    denominator is exact, and alpha zero where the gradient is not positive or, possible only
    for activations that can be negative, the denominator is not.

    References:
        Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for
        Deep Convolutional Networks", WACV 2018, equations 5, 7 and 19.
    """

    name: ClassVar[str] = "gradcam++"

    def weigh(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weights ``(B, C)``."""
        rising = gradient.relu()
        # alpha * g with g^2 cancelled, so that small gradients do not underflow.
        denominator = 2 + activation.sum((2, 3), keepdim=True) * rising
        weighed = torch.where(denominator > 0, rising / denominator, 0)
        return weighed.sum((2, 3))
