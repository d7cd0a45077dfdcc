"""XGrad-CAM: channels weighed by their gradient where they are active."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from counterveil.attribution.cam import GradientCam


class XGradCam(GradientCam):
    """``weight = sum(A * dy/dA) / sum(A)``; zero for a channel whose activations sum to zero.

    References:
        Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of
        CNNs", BMVC 2020, equation 9.
    """

    name: ClassVar[str] = "xgradcam"

    def weigh(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weights ``(B, C)``."""
        total = activation.sum((2, 3))
        agreed = (activation * gradient).sum((2, 3))
        return torch.where(total == 0, 0, agreed / total)
