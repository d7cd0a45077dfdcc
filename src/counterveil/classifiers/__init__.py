"""Classifiers by spec, ``scheme:argument``. Importing this package does not import torch.

| spec | classifier |
|---|---|
| ``pictograms:KEY`` | shipped, for drawn scenes only |
| ``resnet50:PATH`` | trained by ``counterveil train classifier``, or a torchvision ResNet-50 |
| ``hub:REPO#LABEL+LABEL`` | any Hugging Face image classifier |
| ``zeroshot:REPO#unsafe prompt|...||safe prompt|...`` | CLIP, SigLIP |
| ``nudenet:LABEL+LABEL`` | ONNX detector, extra ``nudenet`` |
| ``python:module:factory`` | a user's own classifier or function |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from counterveil.registry import lazy_loader, load_spec
from counterveil.types import Classifier

__all__ = ["LOADERS", "load"]


LOADERS: Mapping[str, Callable[..., Classifier]] = MappingProxyType(
    {
        "pictograms": lazy_loader("counterveil.classifiers.pictograms"),
        "resnet50": lazy_loader("counterveil.classifiers.checkpoints"),
        "hub": lazy_loader("counterveil.classifiers.hub"),
        "zeroshot": lazy_loader("counterveil.classifiers.zeroshot"),
        "nudenet": lazy_loader("counterveil.classifiers.nudenet"),
        "python": lazy_loader("counterveil.classifiers.external"),
    }
)


def load(spec: str, *, device: str = "cpu") -> Classifier:
    """Load the classifier of a spec; all its scores are validated.

    Raises:
        UsageError: the scheme is unknown.
        ModelError: the model cannot be found, loaded or run.
        MissingExtraError: an optional dependency is not installed.
    """
    classifier = load_spec("classifier", LOADERS, spec, device=device)
    checked: Classifier = import_module("counterveil.classifiers.checked").checked(classifier)
    return checked
