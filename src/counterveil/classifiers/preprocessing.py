"""From images to a network's input, and from maps of the input back to the image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class View:
    """One crop of the resized image.

    Attributes:
        row: where the crop lies, in ``[0, 1]``: 0 at the top, 0.5 in the middle, 1 at the bottom.
        column: likewise from left to right.
        mirrored: left and right are exchanged, after cropping.
    """

    row: float = 0.5
    column: float = 0.5
    mirrored: bool = False


@dataclass(frozen=True)
class InputSpec:
    """Preprocessing: resize without keeping the aspect ratio, crop the views, normalise.

    By default nothing is cropped, so content at the border is classified too. A score is the
    mean over the views, so views that crop must together see every pixel.

    Attributes:
        height: of the module's input, pixels.
        width: of the module's input, pixels.
        mean: per channel, for values in ``[0, 1]``.
        std: per channel.
        mode: interpolation mode of ``torch.nn.functional.interpolate``.
        antialias: average pixels when shrinking.
        align_corners: the centres of the corner pixels stay where they are.
        resized: height and width from which the views are cropped; ``None``: the input's.
        jpeg_quality: the resized image is rounded, then compressed and decompressed as the
            training images were; ``None``: not.
        views: the crops.
    """

    height: int = 224
    width: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    mode: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    align_corners: bool = False
    resized: tuple[int, int] | None = None
    jpeg_quality: int | None = None
    views: tuple[View, ...] = (View(),)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a view."""
        return (self.height, self.width)

    def to_input(self, images: Tensor) -> Tensor:
        """The input ``(B * V, 3, h, w)`` of uint8 images ``(B, H, W, 3)`` with V views each.

        The views of one image follow each other.
        """
        pixels = images.permute(0, 3, 1, 2)  # (B, 3, H, W)
        if self.jpeg_quality is None:
            pixels = self._resize(pixels.float())
        else:
            # torch resizes bytes on the CPU only, there several times faster than floats.
            bytes_ = pixels if pixels.device.type == "cpu" else pixels.float()
            pixels = _through_jpeg(self._resize(bytes_), self.jpeg_quality)
        mean, std = (
            torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) * 255
            for values in (self.mean, self.std)
        )
        return (self._views(pixels) - mean) / std

    def to_image_maps(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Mean over the views, in the image's coordinates, of maps of the input.

        Where a view does not reach, its map counts as zero: these pixels did not argue in it.

        Args:
            maps: ``(B * V, h, w)``, of any resolution.
            size: ``(H, W)`` of the image.

        Returns:
            ``(B, H, W)``.
        """
        if self.views == (View(),) and self.resized in (None, self.size):
            return resize_maps(maps, size)
        parts = resize_maps(maps, self.size).unflatten(0, (-1, len(self.views)))  # (B, V, h, w)
        total = maps.new_zeros(len(parts), *(self.resized or self.size))
        for view, part in zip(self.views, parts.unbind(1), strict=True):
            top, left = self._corner(view)
            target = total[:, top : top + self.height, left : left + self.width]
            target += part.flip(-1) if view.mirrored else part
        return resize_maps(total / len(self.views), size)

    def _resize(self, pixels: Tensor) -> Tensor:
        size = self.resized or self.size
        if pixels.shape[-2:] == size:
            return pixels
        pixels = functional.interpolate(
            pixels, size=size, mode=self.mode, antialias=self.antialias,
            align_corners=self.align_corners,
        )  # fmt: skip
        return pixels.clamp(0, 255)  # bicubic overshoots

    def _views(self, pixels: Tensor) -> Tensor:
        if self.views == (View(),) and pixels.shape[-2:] == self.size:
            return pixels
        crops = []
        for view in self.views:
            top, left = self._corner(view)
            crop = pixels[..., top : top + self.height, left : left + self.width]
            crops.append(crop.flip(-1) if view.mirrored else crop)
        return torch.stack(crops, dim=1).flatten(0, 1)

    def _corner(self, view: View) -> tuple[int, int]:
        """Row and column of the view's top left pixel in the resized image."""
        height, width = self.resized or self.size
        return round((height - self.height) * view.row), round((width - self.width) * view.column)


def resize_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``(B, h, w)`` at ``size``: bilinear, ``align_corners=False``."""
    if tuple(maps.shape[1:]) == size:
        return maps
    return functional.interpolate(maps[:, None], size, mode="bilinear", antialias=True)[:, 0]


def _through_jpeg(pixels: Tensor, quality: int) -> Tensor:
    """Pixels ``(B, 3, h, w)`` in ``[0, 255]`` after compression, float32, on the same device.

    Attributions start at the network's input, so they pass over this step: straight through.
    """
    rounded = pixels if pixels.dtype == torch.uint8 else pixels.round().byte()
    images = rounded.permute(0, 2, 3, 1).cpu().numpy()
    decoded = []
    for image in images:
        stream = io.BytesIO()
        PillowImage.fromarray(image).save(stream, "JPEG", quality=quality)
        with PillowImage.open(stream) as opened:
            decoded.append(np.array(opened))
    result = torch.from_numpy(np.stack(decoded) if decoded else images)
    return result.to(pixels.device).permute(0, 3, 1, 2).float()
