"""Where a classifier looks: maps of how much each pixel argues for *unsafe*.

Gradient methods open a torch classifier; occlusion serves any black box. Importing this
package loads no torch: the constructors in ``ATTRIBUTIONS`` do, when called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from counterveil import _lazy
from counterveil._lazy import lazily
from counterveil.types import AttributionMap, Classifier, Image, Images, Labels, Masks

__all__ = ["ATTRIBUTIONS", "Attribution", "Filler", "make"]

Filler = Callable[[Image, Masks], Images]
"""Veils one image ``(H, W, 3)`` under each of B masks ``(B, H, W)``: ``(B, H, W, 3)``."""


class Attribution(Protocol):
    """Maps an image to how much each of its pixels argues for *unsafe*.

    Attributes:
        needs_regions: whether ``labels`` must be given.
    """

    needs_regions: bool

    def __call__(
        self,
        classifier: Classifier,
        image: Image,
        *,
        labels: Labels | None = None,
        fill: Filler | None = None,
    ) -> AttributionMap:
        """The map, ``(H, W)`` of the image, finite and never negative; its unit is its own.

        Args:
            classifier: whose decision is explained.
            image: ``(H, W, 3)``.
            labels: regions of the image, for methods that look region by region.
            fill: how a region is hidden, for methods that hide.

        Raises:
            UnsupportedModelError: the method cannot serve this classifier.
            UsageError: an argument that the method needs is missing or wrong.
        """
        ...


ATTRIBUTIONS: Mapping[str, Callable[..., Attribution]] = MappingProxyType(
    {
        "fullgrad": lazily("counterveil.attribution.fullgrad", "FullGrad"),
        "gradcam": lazily("counterveil.attribution.gradcam", "GradCam"),
        "gradcam++": lazily("counterveil.attribution.gradcam_plusplus", "GradCamPlusPlus"),
        "xgradcam": lazily("counterveil.attribution.xgradcam", "XGradCam"),
        "ablationcam": lazily("counterveil.attribution.ablationcam", "AblationCam"),
        "occlusion": lazily("counterveil.attribution.occlusion", "Occlusion"),
    }
)


def make(name: str, **options: Any) -> Attribution:
    """The attribution of that name, its constructor given ``options``.

    Raises:
        UsageError: no attribution has that name, or it takes no such option.
    """
    return _lazy.make("attribution", ATTRIBUTIONS, name, options)
