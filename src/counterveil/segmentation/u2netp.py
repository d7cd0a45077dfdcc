"""U²-Net's small network, which finds what stands out from its background: ``u2netp:``.

Its weights come in a package that is installed without its dependencies, so they are read from the
package's file and run in torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from counterveil.classifiers.installed import (
    U2NETP_INSTALL,
    PackageFile,
    read_checked,
    u2netp_file,
)
from counterveil.classifiers.onnx_weights import read_tensors
from counterveil.types import ForegroundMap, Image, Mask, ModelInfo

SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
"""Hash of the file with the weights."""

SIDE = 224
"""Height and width of the network's input, to which images are squashed, as in training.

Trained at 288 from 320. At 224 it is 2.5 times as fast, and on photographs it finds whole bodies
rather than their most striking part (docs/log.md).
"""

_MEAN = np.array((0.485, 0.456, 0.406), dtype=np.float32)
_STD = np.array((0.229, 0.224, 0.225), dtype=np.float32)
_INNER, _OUTER = 16, 64  # channels within and between the stages
_DEPTHS = (7, 6, 5, 4, 0, 0)
"""Depth of each stage; 0 is the stage that dilates instead of pooling."""


class Convolution(nn.Sequential):
    """A 3x3 convolution and a ReLU; batch norm is folded into the convolution."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()
        )


class ResidualU(nn.Module):
    """A U-shaped block that is added to its own input, ``(B, inputs, h, w)`` to ``(B, 64, h, w)``.

    ``depth`` convolutions go down, each but the last followed by a pooling, and as many less one
    go up. With depth 0 there are four, which keep the resolution and dilate by 1, 2, 4 and 8.
    """

    def __init__(self, inputs: int, depth: int) -> None:
        super().__init__()
        self.pools = depth > 0
        dilations = [*[1] * (depth - 1), 2] if self.pools else [1, 2, 4, 8]
        self.entry = Convolution(inputs, _OUTER)
        self.down = nn.ModuleList(
            Convolution(_INNER if level else _OUTER, _INNER, dilation=dilation)
            for level, dilation in enumerate(dilations)
        )
        up = [1] * (depth - 1) if self.pools else dilations[-2::-1]
        self.up = nn.ModuleList(
            Convolution(2 * _INNER, _INNER if level < len(up) - 1 else _OUTER, dilation=dilation)
            for level, dilation in enumerate(up)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Adds what the U computes to its entry."""
        entry: Tensor = self.entry(pixels)
        levels, x = [], entry
        for number, convolution in enumerate(self.down):
            # The last one, at the bottom, dilates at the resolution of the one before it.
            if self.pools and 0 < number < len(self.down) - 1:
                x = max_pool2d(x, 2, ceil_mode=True)
            x = convolution(x)
            levels.append(x)
        levels.pop()
        for convolution in self.up:
            skipped = levels.pop()
            x = convolution(torch.cat([_resized(x, skipped), skipped], dim=1))
        return x + entry


class U2NetP(nn.Module):
    """Six residual U blocks down, five up, a map from each; ``(B, 3, h, w)`` to ``(B, h, w)``.

    References:
        Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
        Pattern Recognition, 2020; the small network, 1.1 M parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            ResidualU(_OUTER if level else 3, depth) for level, depth in enumerate(_DEPTHS)
        )
        self.up = nn.ModuleList(ResidualU(2 * _OUTER, depth) for depth in _DEPTHS[-2::-1])
        self.sides = nn.ModuleList(nn.Conv2d(_OUTER, 1, 3, padding=1) for _ in _DEPTHS)
        self.fuse = nn.Conv2d(len(_DEPTHS), 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Probability that each pixel belongs to an object that stands out, ``(B, h, w)``."""
        levels: list[Tensor] = []
        x = pixels
        for number, block in enumerate(self.down):
            x = block(max_pool2d(x, 2, ceil_mode=True) if number else x)
            levels.append(x)
        outputs = [levels.pop()]
        for block in self.up:
            skipped = levels.pop()
            outputs.append(block(torch.cat([_resized(outputs[-1], skipped), skipped], dim=1)))
        maps = [side(x) for side, x in zip(self.sides, outputs[::-1], strict=True)]
        fused: Tensor = self.fuse(torch.cat([_resized(each, maps[0]) for each in maps], dim=1))
        return fused[:, 0].sigmoid()


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def read_weights(data: bytes) -> dict[str, Tensor]:
    """The state of a :class:`U2NetP` from the ONNX file's bytes."""
    state, _ = read_tensors(data, U2NetP())
    return state


class SalientObjects:
    """Whatever stands out from its background, people and things alike.

    Args:
        network: its weights loaded.
        info: name, version and hash for records.
        device: torch device.
    """

    def __init__(self, network: U2NetP, info: ModelInfo, *, device: str = "cpu") -> None:
        self._network = network.eval().requires_grad_(False).to(device)
        self._device, self._info = device, info

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash for records."""
        return self._info

    def __call__(self, image: Image, *, core_mask: Mask) -> ForegroundMap:
        """As the protocol describes it; the core is not looked at."""
        squashed = Pillow.fromarray(image).resize((SIDE, SIDE), Pillow.Resampling.BILINEAR)
        pixels = np.asarray(squashed, dtype=np.float32)
        # By the image's own maximum, as in training; a black image stays black.
        pixels = (pixels / max(float(pixels.max()), 1.0) - _MEAN) / _STD
        # Channels stay last in memory: with so few of them that is a third faster on a CPU.
        tensor = torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)[None]
        with torch.inference_mode():
            found = self._network(tensor)[None]
            enlarged = interpolate(found, size=image.shape[:2], mode="bilinear")
        foreground: ForegroundMap = enlarged[0, 0].float().cpu().numpy()
        return foreground


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> SalientObjects:
    """Load the network.

    Args:
        argument: empty for the installed package's weights, or ``FILE.onnx``, the same file from
            elsewhere.
        device: torch device.
        folder: where a relative path starts.

    Raises:
        MissingExtraError: no file is named and the package is not installed.
        ModelError: the file cannot be read, or is another one.
    """
    if argument:
        file = PackageFile((folder or Path()) / Path(argument).expanduser(), "U²-Net", "")
    else:
        file = u2netp_file()
    data = read_checked(file, SHA256, install=U2NETP_INSTALL)
    network = U2NetP()
    network.load_state_dict(read_weights(data))
    return SalientObjects(
        network, ModelInfo(f"u2netp:{argument}", file.version, SHA256), device=device
    )
