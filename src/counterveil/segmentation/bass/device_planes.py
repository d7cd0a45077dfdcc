"""What BASS sees of a batch of images, on a device: the same numbers as `colour` and `scales`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from counterveil.segmentation.bass.colour import LIGHTNESS, LINEAR, XYZ, importance
from counterveil.types import AttributionMap, Image


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of any sizes in one tensor, each in the upper left corner of its layer.

    Attributes:
        planes: ``(B, H, W, 4)`` float32: CIELAB / 100 and importance; 0 beyond an image's edge.
        sizes: height and width of each image, at this scale.
    """

    planes: Tensor
    sizes: tuple[tuple[int, int], ...]

    @property
    def inside(self) -> Tensor:
        """Which pixels belong to an image, ``(B, H, W)`` bool."""
        _, height, width, _ = self.planes.shape
        device = self.planes.device
        size = torch.tensor(self.sizes, device=device)
        rows = torch.arange(height, device=device) < size[:, :1]
        columns = torch.arange(width, device=device) < size[:, 1:]
        return rows[:, :, None] & columns[:, None, :]


def stack(
    images: Sequence[Image], guidance: Sequence[AttributionMap | None], device: torch.device
) -> Stack:
    """Colours and importance of a batch of images.

    Args:
        images: ``(H, W, 3)`` uint8, of any sizes.
        guidance: of each, ``(H, W)``, or ``None``.
        device: where pixels go, as bytes.
    """
    sizes = tuple((image.shape[0], image.shape[1]) for image in images)
    height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
    bytes_ = np.zeros((len(images), height, width, 3), np.uint8)
    weights = np.zeros((len(images), height, width), np.float32)
    for layer, (image, attribution_map) in enumerate(zip(images, guidance, strict=True)):
        h, w = image.shape[:2]
        bytes_[layer, :h, :w] = image
        if attribution_map is not None:
            weights[layer, :h, :w] = importance(attribution_map)
    seen, attribution_maps = (torch.from_numpy(each).to(device) for each in (bytes_, weights))
    result = Stack(torch.cat([_lab(seen), attribution_maps[..., None]], dim=3), sizes)
    result.planes[~result.inside] = 0
    return result


def pooled(stack: Stack, factor: int) -> Stack:
    """Means of ``factor`` x ``factor`` blocks; those cut by an edge average what is there."""
    batch, height, width, channels = stack.planes.shape
    tall, wide = -(-height // factor) * factor, -(-width // factor) * factor
    pad = (0, 0, 0, wide - width, 0, tall - height)
    shape = (batch, tall // factor, factor, wide // factor, factor, channels)
    blocks = functional.pad(stack.planes, pad).view(shape)
    inside = functional.pad(stack.inside.float()[..., None], pad).view((*shape[:-1], 1))
    total = torch.zeros_like(blocks[:, :, 0, :, 0])
    count = torch.zeros_like(inside[:, :, 0, :, 0])
    for row in range(factor):  # one after the other, so that single precision rounds alike
        for column in range(factor):
            total = total + blocks[:, :, row, :, column]
            count = count + inside[:, :, row, :, column]
    sizes = tuple((-(-h // factor), -(-w // factor)) for h, w in stack.sizes)
    return Stack(total / count.clamp(min=1), sizes)


def _lab(images: Tensor) -> Tensor:
    """CIELAB / 100 of sRGB bytes ``(B, H, W, 3)``; the cube root is interpolated."""
    device = images.device
    lightness = torch.from_numpy(LIGHTNESS).to(device)
    r, g, b = torch.from_numpy(LINEAR).to(device)[images.long()].unbind(dim=3)
    root = []
    for row in XYZ.tolist():
        at = (row[0] * r + row[1] * g + row[2] * b) * (len(LIGHTNESS) - 2)
        low = at.long()
        part = at - low.float()
        root.append(lightness[low] + part * (lightness[low + 1] - lightness[low]))
    return torch.stack(
        [(116 * root[1] - 16) * 0.01, 5 * (root[0] - root[1]), 2 * (root[1] - root[2])], dim=3
    )
