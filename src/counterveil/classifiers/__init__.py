"""Classifiers by spec, ``scheme:argument``; importing this loads no torch.

| spec | what |
|---|---|
| ``proxy:KEY`` | shipped, for proxy scenes only |
| ``resnet50:PATH`` | trained by ``counterveil train classifier``, or a torchvision ResNet-50 |
| ``hub:REPO#LABEL+LABEL`` | any Hugging Face image classifier |
| ``zeroshot:REPO#unsafe prompt|...||safe prompt|...`` | CLIP, SigLIP |
| ``nudenet:LABEL+LABEL`` | ONNX detector, extra ``nudenet`` |
| ``python:module:factory`` | anything that scores |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from counterveil.errors import UsageError
from counterveil.types import Classifier

__all__ = ["LOADERS", "load"]


def _lazily(module: str) -> Callable[..., Classifier]:
    def construct(argument: str, *, device: str = "cpu") -> Classifier:
        loader = import_module(f"counterveil.classifiers.{module}").load
        classifier: Classifier = loader(argument, device=device)
        return classifier

    return construct


LOADERS: Mapping[str, Callable[..., Classifier]] = MappingProxyType(
    {
        "proxy": _lazily("proxy"),
        "resnet50": _lazily("resnet"),
        "hub": _lazily("hub"),
        "zeroshot": _lazily("zeroshot"),
        "nudenet": _lazily("nudenet"),
        "python": _lazily("external"),
    }
)


def load(spec: str, *, device: str = "cpu") -> Classifier:
    """The classifier of a spec; every score it gives is checked.

    Raises:
        UsageError: the spec's scheme is unknown.
        ModelError: the model cannot be found, loaded or run.
        MissingExtraError: it needs an extra that is not installed.
    """
    scheme, colon, argument = spec.partition(":")
    if not colon or scheme not in LOADERS:
        raise UsageError(
            f"{spec!r} is no classifier spec; it reads scheme:argument, "
            f"with one of the schemes {', '.join(LOADERS)}"
        )
    classifier = LOADERS[scheme](argument, device=device)
    checked: Classifier = import_module("counterveil.classifiers.checked").checked(classifier)
    return checked
