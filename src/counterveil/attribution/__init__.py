"""Attribution maps: how strongly each pixel argues for *unsafe*. Importing loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from counterveil.fills import Fill
from counterveil.registry import lazy_callable, make_component
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
            ModelError: its gradients or activations are not finite.
            UsageError: a required argument is missing or wrong.
        """
        ...


ATTRIBUTIONS: Mapping[str, Callable[..., Attribution]] = MappingProxyType(
    {
        "fullgrad": lazy_callable("counterveil.attribution.fullgrad", "FullGrad"),
        "gradcam": lazy_callable("counterveil.attribution.cams", "GradCam"),
        "gradcam++": lazy_callable("counterveil.attribution.cams", "GradCamPlusPlus"),
        "fullgrad+gradcam": lazy_callable("counterveil.attribution.ensemble", "FullGradAndGradCam"),
        "xgradcam": lazy_callable("counterveil.attribution.cams", "XGradCam"),
        "ablationcam": lazy_callable("counterveil.attribution.cams", "AblationCam"),
        "occlusion": lazy_callable("counterveil.attribution.occlusion", "Occlusion"),
    }
)


def make(name: str, **options: Any) -> Attribution:
    """Construct an attribution method; an unknown name or option is a ``UsageError``."""
    return make_component("attribution", ATTRIBUTIONS, name, options)
