"""Learns how an image processor scales colours, by showing it plain pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from counterveil.classifiers.base import InputSpec
from counterveil.errors import UnsupportedModelError

_COLOUR = (51, 102, 204)
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Probed:
    """What a processor does.

    Attributes:
        spec: the same by squashing, whatever the processor would crop away.
        flipped: it gives the network blue, green, red.
    """

    spec: InputSpec
    flipped: bool


def probe(processor: Any, native: tuple[int, int]) -> Probed:
    """The input specification that equals a processor, cropping left out.

    Processors differ in rescaling, offsets, normalisation and order of channels. All are
    affine a channel, so that black and white tell everything, and one colour tells whether
    that held. Size is the output's; resampling is read from the settings.

    Args:
        processor: a Hugging Face image processor.
        native: height and width of the network, for processors that do not resize.

    Raises:
        UnsupportedModelError: its output is not an image, or not affine in the colours.
    """
    black, height, width = _show(processor, (0, 0, 0), native)
    white, _, _ = _show(processor, (255, 255, 255), native)
    colour, _, _ = _show(processor, _COLOUR, native)
    span = white - black
    if not (span > 0).all():
        raise UnsupportedModelError(_refusal(processor, "does not tell white from black"))
    seen = (colour - black) / span * 255
    flipped = not np.allclose(seen, _COLOUR, atol=255 * _TOLERANCE)
    if flipped and not np.allclose(seen, _COLOUR[::-1], atol=255 * _TOLERANCE):
        raise UnsupportedModelError(_refusal(processor, "changes colours by more than scaling"))
    mean, std = -black / span, 1 / span  # (3,) each
    if flipped:
        mean, std = mean[::-1], std[::-1]
    return Probed(
        InputSpec(height, width, tuple(mean.tolist()), tuple(std.tolist()), _mode(processor)),
        flipped,
    )


def _show(
    processor: Any, colour: tuple[int, int, int], size: tuple[int, int]
) -> tuple[np.ndarray, int, int]:
    """What the centre becomes ``(3,)``, and height and width of the whole."""
    from PIL import Image

    picture = Image.new("RGB", size[::-1], colour)
    output = np.asarray(processor(images=picture, return_tensors="np")["pixel_values"], np.float64)
    if output.ndim != 4 or output.shape[1] != 3:
        shape = tuple(output.shape)
        raise UnsupportedModelError(_refusal(processor, f"gives {shape}, not (1, 3, h, w)"))
    height, width = output.shape[2:]
    return output[0, :, height // 2, width // 2], height, width


def _mode(processor: Any) -> Any:
    """Sharp resampling is bicubic, any other bilinear; both look at every pixel."""
    how = getattr(processor, "resample", None)
    if how is None:
        how = getattr(processor, "data_config", {}).get("interpolation", "bilinear")
    return "bicubic" if how in (1, 3, "bicubic", "lanczos") else "bilinear"


def _refusal(processor: Any, why: str) -> str:
    return (
        f"{type(processor).__name__} {why}; wrap the model in a function of your own and name it "
        "as python:module:factory"
    )
