"""Grad-CAM: channels weighed by their mean gradient."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from counterveil.attribution.cam import GradientCam


class GradCam(GradientCam):
    """``weight = mean over pixels of dy/dA``.

    References:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization", ICCV 2017, equations 1 and 2.
    """

    name: ClassVar[str] = "gradcam"

    def weigh(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weights ``(B, C)``."""
        return gradient.mean((2, 3))
