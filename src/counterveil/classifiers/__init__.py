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

from counterveil import _lazy
from counterveil.types import Classifier

__all__ = ["LOADERS", "load"]


LOADERS: Mapping[str, Callable[..., Classifier]] = MappingProxyType(
    {
        "proxy": _lazy.scheme("counterveil.classifiers.proxy"),
        "resnet50": _lazy.scheme("counterveil.classifiers.resnet"),
        "hub": _lazy.scheme("counterveil.classifiers.hub"),
        "zeroshot": _lazy.scheme("counterveil.classifiers.zeroshot"),
        "nudenet": _lazy.scheme("counterveil.classifiers.nudenet"),
        "python": _lazy.scheme("counterveil.classifiers.external"),
    }
)


def load(spec: str, *, device: str = "cpu") -> Classifier:
    """The classifier of a spec; every score it gives is checked.

    Raises:
        UsageError: the spec's scheme is unknown.
        ModelError: the model cannot be found, loaded or run.
        MissingExtraError: it needs an extra that is not installed.
    """
    classifier = _lazy.load("classifier", LOADERS, spec, device=device)
    checked: Classifier = import_module("counterveil.classifiers.checked").checked(classifier)
    return checked
