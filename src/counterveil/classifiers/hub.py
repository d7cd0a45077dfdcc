"""Hugging Face image classifiers: ``hub:REPO_OR_FOLDER[@REVISION]#LABEL+LABEL``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.classifiers.torch_classifier import InputSpec, TorchClassifier
from counterveil.errors import UnsupportedModelError, UsageError

_PROBE_COLOUR = (51, 102, 204)
_TOLERANCE = 0.02


class HubLogits(nn.Module):
    """A Hugging Face classifier as a module from pixels ``(B, 3, h, w)`` to logits ``(B, C)``.

    Args:
        model: returns an output with ``logits`` for ``pixel_values``.
        bgr: the model expects the channel order blue, green, red.
    """

    def __init__(self, model: nn.Module, *, bgr: bool = False) -> None:
        super().__init__()
        self.model = model
        self.bgr = bgr

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, C)``."""
        logits: Tensor = self.model(pixel_values=pixels.flip(1) if self.bgr else pixels).logits
        return logits


def load(argument: str, *, device: str = "cpu") -> TorchClassifier:
    """Load the classifier; the named labels are the unsafe ones.

    Colours are scaled as the model's own processor scales them. The whole image is resized to
    the input's size where a processor would crop the centre, so the border is classified too.
    P(unsafe) is the sum of the unsafe labels after a softmax; for a multi-label model, or one
    with a single output, the probability that any of them applies.

    Args:
        argument: ``REPO_OR_FOLDER[@REVISION]#LABEL+LABEL``; case of the labels is ignored.
        device: where the model runs.

    Raises:
        UsageError: the model has no such label; the message lists its labels.
        ModelError: the checkpoint cannot be loaded, or its weights are incomplete.
        UnsupportedModelError: the processor does more than resize and scale.
    """
    checkpoint, labels = Checkpoint.parse("hub", argument)
    import_torchvision()
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model: Any = checkpoint.load_model(AutoModelForImageClassification)
    processor = checkpoint.load(AutoImageProcessor)
    preprocessing = probe_processor(processor, _input_size(model.config))
    activation = _activation(model.config)
    unsafe = _unsafe_indices(labels, model.config.id2label)
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
    """What an image processor does, cropping left out.

    Attributes:
        input_spec: size, scaling and interpolation.
        bgr: its output has the channel order blue, green, red.
    """

    input_spec: InputSpec
    bgr: bool


def probe_processor(processor: Any, input_size: tuple[int, int]) -> Preprocessing:
    """Measure an image processor's scaling and channel order on images of one colour.

    Processors differ in rescaling, offset, normalisation and channel order. All of these are
    affine per channel: black and white determine them, and a third colour verifies the result.
    The size is that of the output; interpolation is read from the processor's settings.

    Args:
        processor: a Hugging Face image processor.
        input_size: height and width of the network's input, for processors that do not resize.

    Raises:
        UnsupportedModelError: the output is not an image, or not affine in the colours.
    """
    black, height, width = _process(processor, (0, 0, 0), input_size)
    white, _, _ = _process(processor, (255, 255, 255), input_size)
    output, _, _ = _process(processor, _PROBE_COLOUR, input_size)
    span = white - black
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
    return Preprocessing(
        InputSpec(height, width, tuple(mean.tolist()), tuple(std.tolist()), mode), bgr
    )


def _process(
    processor: Any, colour: tuple[int, int, int], size: tuple[int, int]
) -> tuple[np.ndarray, int, int]:
    """Output at the centre of an image of one colour ``(3,)``, and the output's size."""
    from PIL import Image

    image = Image.new("RGB", size[::-1], colour)
    output = np.asarray(processor(images=image, return_tensors="np")["pixel_values"], np.float64)
    if output.ndim != 4 or output.shape[1] != 3:
        raise _unsupported(processor, f"gives {tuple(output.shape)}, not (1, 3, h, w)")
    height, width = output.shape[2:]
    return output[0, :, height // 2, width // 2], height, width


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


def _activation(config: Any) -> Literal["softmax", "sigmoid"]:
    single = len(config.id2label) == 1
    multi = config.problem_type == "multi_label_classification"
    return "sigmoid" if single or multi else "softmax"


def _unsafe_indices(labels: str, names: dict[int, str]) -> tuple[int, ...]:
    """Indices of the labels joined by ``+``, ignoring case; a label may contain a plus itself."""
    by_index = {index: name.strip().casefold() for index, name in names.items()}
    parts = labels.casefold().split("+")
    unsafe = set()
    while parts:
        # Longest match first, because a label may contain a plus.
        candidates = ["+".join(parts[:end]).strip() for end in range(len(parts), 0, -1)]
        label = next((c for c in candidates if c in by_index.values()), None)
        if label is None:
            raise UsageError(
                f"the model has no label {candidates[-1]!r}; choose among {_listing(names)}"
            )
        unsafe.add(label)
        del parts[: label.count("+") + 1]
    return tuple(sorted(index for index, name in by_index.items() if name in unsafe))


def _listing(names: dict[int, str]) -> str:
    shown = [names[index] for index in sorted(names)][:30]
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more
