"""Classifiers by spec, ``scheme:argument``. Importing this package does not import torch.

| spec | classifier |
|---|---|
| ``pictograms:KEY`` | shipped, for drawn scenes only |
| ``resnet50:PATH`` | trained by ``counterveil train classifier``, or a torchvision ResNet-50 |
| ``hub:REPO#LABEL+LABEL`` | any Hugging Face image classifier |
| ``zeroshot:REPO#unsafe prompt|...||safe prompt|...`` | CLIP, SigLIP |
| ``open_nsfw:`` | Yahoo's open_nsfw, for photographs; ``open_nsfw:10``: by more views |
| ``nsfwjs:FILE.tgz#NETWORK[#CLASS+CLASS]`` | nsfwjs's ``mobilenet_v2`` or ``inception_v3`` |
| ``faces:`` | faces, for privacy, extra ``faces`` |
| ``nudenet:LABEL+LABEL`` | ONNX detector, extra ``nudenet`` |
| ``text:LANGUAGE+FILE.txt`` | offensive words written in the image, extra ``text`` |
| ``python:module:factory`` | a user's own classifier or function |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from counterveil.classifiers.checked import checked
from counterveil.registry import lazy_callable, load_spec
from counterveil.types import Classifier

__all__ = ["LOADERS", "load"]

LOADERS: Mapping[str, Callable[..., Classifier]] = MappingProxyType(
    {
        "pictograms": lazy_callable("counterveil.classifiers.pictograms", "load"),
        "resnet50": lazy_callable("counterveil.classifiers.checkpoints", "load"),
        "hub": lazy_callable("counterveil.classifiers.hub", "load"),
        "zeroshot": lazy_callable("counterveil.classifiers.zeroshot", "load"),
        "open_nsfw": lazy_callable("counterveil.classifiers.open_nsfw", "load"),
        "nsfwjs": lazy_callable("counterveil.classifiers.nsfwjs", "load"),
        "faces": lazy_callable("counterveil.classifiers.faces", "load"),
        "nudenet": lazy_callable("counterveil.classifiers.nudenet", "load"),
        "text": lazy_callable("counterveil.classifiers.text", "load"),
        "python": lazy_callable("counterveil.classifiers.external", "load"),
    }
)


def load(spec: str, *, device: str = "cpu", folder: Path | None = None) -> Classifier:
    """Load the classifier of a spec; all its scores are validated.

    ``folder`` is where relative paths start and modules are found; default: the current folder.

    Raises:
        UsageError: the scheme is unknown, or the argument names no label, prompt or function.
        ModelError: the model cannot be found, loaded or run.
        UnsupportedModelError: the model is of a kind that the scheme does not support.
        MissingExtraError: an optional dependency is not installed.
    """
    return checked(load_spec("classifier", LOADERS, spec, device=device, folder=folder))
