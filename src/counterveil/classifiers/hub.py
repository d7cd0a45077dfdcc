"""Hugging Face image classifiers: ``hub:REPO_OR_FOLDER[@REVISION]#LABEL+LABEL``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.classifiers.labels import label_indices
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import UnsupportedModelError, UsageError

_PROBE_COLOUR = (51, 102, 204)
_TOLERANCE = 0.02


class HubLogits(nn.Module):
    """A Hugging Face classifier from pixels ``(B, 3, h, w)``, RGB, to logits ``(B, C)``.

    ``bgr``: the model itself expects the channel order blue, green, red.
    """

    def __init__(self, model: nn.Module, *, bgr: bool = False) -> None:
        super().__init__()
        self.model = model
        self.bgr = bgr

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, C)``."""
        logits: Tensor = self.model(pixel_values=pixels.flip(1) if self.bgr else pixels).logits
        return logits


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> TorchClassifier:
    """Load the classifier; the named labels are the unsafe ones.

    Colours are scaled as by the model's own processor. The whole image is resized where the
    processor would crop the centre, so the border is classified too. P(unsafe) is the sum of the
    unsafe labels after a softmax; for a multi-label model, or one with a single output, the
    probability that any of them applies. Case of the labels is ignored.
    """
    checkpoint, labels = Checkpoint.parse("hub", argument, folder=folder)
    import_torchvision()
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model: Any = checkpoint.load_model(AutoModelForImageClassification)
    processor = checkpoint.load(AutoImageProcessor)
    preprocessing = probe_processor(processor, _input_size(model.config))
    independent = model.config.problem_type == "multi_label_classification"
    activation: Literal["softmax", "sigmoid"] = (
        "sigmoid" if independent or len(model.config.id2label) == 1 else "softmax"
    )
    unsafe = label_indices(labels, model.config.id2label)
    if activation == "softmax" and len(unsafe) == len(model.config.id2label):
        raise UsageError(f"{checkpoint.spec} calls every label unsafe; leave out the safe ones")
    return TorchClassifier(
        HubLogits(model, bgr=preprocessing.bgr),
        info=checkpoint.info(),
        unsafe_indices=unsafe,
        input_spec=preprocessing.input_spec,
        activation=activation,
        device=device,
    )


@dataclass(frozen=True)
class Preprocessing:
    """What an image processor does, without cropping; ``bgr``: its output is blue, green, red."""

    input_spec: InputSpec
    bgr: bool


def probe_processor(processor: Any, input_size: tuple[int, int]) -> Preprocessing:
    """Measure an image processor's scaling and channel order on images of one colour.

    Rescaling, offset, normalisation and channel order are affine per channel: black and white
    determine them, and a third colour verifies the result. Images of ``input_size`` (height,
    width) serve processors that do not resize.
    """
    outputs = [
        _process(processor, colour, input_size)
        for colour in ((0, 0, 0), (255, 255, 255), _PROBE_COLOUR)
    ]
    height, width = outputs[0].shape[1:]
    black, white, output = (each[:, height // 2, width // 2] for each in outputs)  # (3,) each
    span = white - black  # output = black + colour / 255 * span
    if not (span > 0).all():
        raise _unsupported(processor, "does not distinguish white from black")
    colour = (output - black) / span * 255
    bgr = not np.allclose(colour, _PROBE_COLOUR, atol=255 * _TOLERANCE)
    if bgr and not np.allclose(colour, _PROBE_COLOUR[::-1], atol=255 * _TOLERANCE):
        raise _unsupported(processor, "changes colours by more than scaling")
    mean, std = -black / span, 1 / span  # (3,) each
    if bgr:
        mean, std = mean[::-1], std[::-1]
    mode = _interpolation(processor)
    spec = InputSpec(height, width, tuple(mean.tolist()), tuple(std.tolist()), mode)
    return Preprocessing(spec, bgr)


def _process(processor: Any, colour: tuple[int, int, int], size: tuple[int, int]) -> np.ndarray:
    """The processor's output ``(3, h, w)`` for an image of one colour."""
    from PIL import Image

    image = Image.new("RGB", size[::-1], colour)
    output = np.asarray(processor(images=image, return_tensors="np")["pixel_values"], np.float64)
    if output.ndim != 4 or output.shape[1] != 3:
        raise _unsupported(processor, f"gives {tuple(output.shape)}, not (1, 3, h, w)")
    pixels: np.ndarray = output[0]
    return pixels


def _interpolation(processor: Any) -> Any:
    """Bicubic for Lanczos too, which torch lacks; bilinear for everything else."""
    mode = getattr(processor, "resample", None)
    if mode is None:  # timm processors
        mode = getattr(processor, "data_config", {}).get("interpolation", "bilinear")
    return "bicubic" if mode in (1, 3, "bicubic", "lanczos") else "bilinear"


def _unsupported(processor: Any, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{type(processor).__name__} {reason}; wrap the model in a function of your own and name "
        "it as python:module:factory"
    )


def _input_size(config: Any) -> tuple[int, int]:
    size = getattr(config, "image_size", None) or 224
    return (size, size) if isinstance(size, int) else (size[0], size[1])
