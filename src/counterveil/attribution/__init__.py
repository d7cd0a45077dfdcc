"""Where a classifier looks: maps of how much each pixel argues for *unsafe*.

Gradient methods open a torch classifier; occlusion serves any black box. Importing this
package loads no torch: the constructors in ``ATTRIBUTIONS`` do, when called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

from counterveil.errors import UsageError
from counterveil.types import Classifier, Heat, Image, Images, Labels, Masks

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
    ) -> Heat:
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


def _lazily(module: str, name: str) -> Callable[..., Attribution]:
    def construct(**options: Any) -> Attribution:
        constructor = getattr(import_module(f"counterveil.attribution.{module}"), name)
        made: Attribution = constructor(**options)
        return made

    return construct


ATTRIBUTIONS: Mapping[str, Callable[..., Attribution]] = MappingProxyType(
    {
        "fullgrad": _lazily("fullgrad", "FullGrad"),
        "gradcam": _lazily("gradcam", "GradCam"),
        "gradcam++": _lazily("gradcam_plusplus", "GradCamPlusPlus"),
        "xgradcam": _lazily("xgradcam", "XGradCam"),
        "ablationcam": _lazily("ablationcam", "AblationCam"),
        "occlusion": _lazily("occlusion", "Occlusion"),
    }
)


def make(name: str, **options: Any) -> Attribution:
    """The attribution of that name, its constructor given ``options``.

    Raises:
        UsageError: no attribution has that name, or it takes no such option.
    """
    if name not in ATTRIBUTIONS:
        known = ", ".join(ATTRIBUTIONS)
        raise UsageError(f"no attribution is called {name!r}; choose one of {known}")
    try:
        return ATTRIBUTIONS[name](**options)
    except TypeError as error:
        raise UsageError(f"attribution {name!r}: {error}") from error
