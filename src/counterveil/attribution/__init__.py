"""Attribution maps: how strongly each pixel argues for *unsafe*.

Gradient methods need a ``GradientClassifier``; occlusion needs scores only. Importing this
package does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from counterveil.fills import Fill
from counterveil.registry import lazy_constructor, make_component
from counterveil.types import AttributionMap, Classifier, Image, Labels

__all__ = ["ATTRIBUTIONS", "Attribution", "make"]


class Attribution(Protocol):
    """Computes the attribution map of an image.

    Attributes:
        needs_regions: ``labels`` must be given.
        needs_gradients: the classifier must be a ``GradientClassifier``.
    """

    needs_regions: bool
    needs_gradients: bool

    def __call__(
        self,
        classifier: Classifier,
        image: Image,
        *,
        labels: Labels | None = None,
        fill: Fill | None = None,
    ) -> AttributionMap:
        """The map ``(H, W)``: finite, never negative, in a unit of the method's own.

        Args:
            classifier: the classifier to explain.
            image: ``(H, W, 3)``.
            labels: regions of the image, for methods with ``needs_regions``.
            fill: what hidden pixels become, for methods that hide regions.

        Raises:
            UnsupportedModelError: the method cannot explain this classifier.
            UsageError: a required argument is missing or wrong.
        """
        ...


ATTRIBUTIONS: Mapping[str, Callable[..., Attribution]] = MappingProxyType(
    {
        "fullgrad": lazy_constructor("counterveil.attribution.fullgrad", "FullGrad"),
        "gradcam": lazy_constructor("counterveil.attribution.cams", "GradCam"),
        "gradcam++": lazy_constructor("counterveil.attribution.cams", "GradCamPlusPlus"),
        "xgradcam": lazy_constructor("counterveil.attribution.cams", "XGradCam"),
        "ablationcam": lazy_constructor("counterveil.attribution.cams", "AblationCam"),
        "occlusion": lazy_constructor("counterveil.attribution.occlusion", "Occlusion"),
    }
)


def make(name: str, **options: Any) -> Attribution:
    """Construct an attribution method by name.

    Raises:
        UsageError: the name is unknown, or the method has no such option.
    """
    return make_component("attribution", ATTRIBUTIONS, name, options)
