"""What BASS does to the pixels of a batch of images at once, on a device, with torch.

Pixels of a parity class do not see each other and parameters are held during a sweep, so that a
class moves at once and comes out as the compiled sweep has it, pixel by pixel. Only sums and
decisions over regions, a few kilobytes, pass between the device and the main memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from counterveil.segmentation.bass.device_planes import Stack
from counterveil.segmentation.bass.hexagons import honeycomb
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.pixels import Names
from counterveil.segmentation.bass.statistics import COLUMNS, Parameters, Sums
from counterveil.segmentation.bass.topology import NEIGHBOURS, SIMPLE
from counterveil.types import Labels

_FINE = 2.0**36
"""Colours are summed as whole numbers of this fraction, exactly, in whatever order a device adds:
the same image has the same regions each time. Sums of 2^24 pixels fit 64 bits."""
_NEAR = (1, 6, 3, 4)
"""Of `NEIGHBOURS` the four nearest, in the order in which a sweep tries their regions."""


class DevicePixels:
    """Pixels of a batch of images; each region belongs to one image.

    Args:
        stack: the images at one scale.
        labels: ``(B, H, W)`` int64; -1 beyond an image's edge. No two images share a label.
        count: regions of all images.
    """

    def __init__(self, stack: Stack, labels: Tensor, count: int) -> None:
        batch, height, width = labels.shape
        self.stack, self.count = stack, count
        self._shape = (batch, height + 2, width + 2)
        # Flat and framed, so that a pixel's neighbours are at fixed distances from it.
        self._labels = functional.pad(labels, (1, 1, 1, 1), value=-1).flatten()
        self._planes = functional.pad(stack.planes, (0, 0, 1, 1, 1, 1)).view(-1, 4)
        self._around = torch.tensor(
            [row * (width + 2) + column for row, column in NEIGHBOURS], device=labels.device
        )
        self._near = self._around[list(_NEAR)]
        self._bits = 1 << torch.arange(len(NEIGHBOURS), device=labels.device)
        self._simple = torch.from_numpy(SIMPLE).to(labels.device)
        self._inside = (self._labels >= 0).nonzero()[:, 0]
        y, x = self._place(self._inside)
        self._classes = [
            self._inside[(y % 2 == parity // 2) & (x % 2 == parity % 2)] for parity in range(4)
        ]

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self._labels.device

    @property
    def labels(self) -> Tensor:
        """``(B, H, W)`` int64, without the frame."""
        return self._labels.view(self._shape)[:, 1:-1, 1:-1]

    def usual(self) -> Float64[ndarray, " regions"]:
        """Mean area, in pixels, of the regions of the image that each lies in."""
        owners = self._owners()
        regions = torch.bincount(owners, minlength=len(self.stack.sizes)).cpu().numpy()
        areas = np.array([height * width for height, width in self.stack.sizes])
        return np.asarray((areas / regions)[owners.cpu().numpy()])

    def sums(self) -> Sums:
        """Of every region over its pixels."""
        return self._sum_up(self._labels[self._inside], self.count)

    def settle(self, parameters: Parameters, sums: Sums, sweeps: int, model: Model) -> int:
        """Up to so many sweeps; returns how many pixels moved last, and keeps ``sums`` right."""
        held = torch.from_numpy(parameters).to(self.device)
        change = torch.zeros((self.count, COLUMNS), dtype=torch.int64, device=self.device)
        due = torch.ones_like(self._labels, dtype=torch.bool)
        moved = 0
        for _ in range(sweeps):
            moved = sum(self._sweep(pixels, held, change, due, model) for pixels in self._classes)
            if moved == 0:
                break
        sums += _coarse(change)
        return moved

    def halves(self, sums: Sums, *, upright: bool) -> Tensor:
        """A half, 1 or 2, of each pixel inside, as `divide.halves` has it."""
        centre = torch.from_numpy((sums[:, 1:3] / sums[:, :1]).astype(np.int64)).to(self.device)
        step = torch.tensor([0, 2] if upright else [1, 0], device=self.device)
        half = torch.zeros_like(self._labels, dtype=torch.uint8)
        half[self._nearest(centre - step)] = 1
        other = self._nearest(centre + step)
        half[other[half[other] == 0]] = 2
        self._spread(half)
        return half[self._inside]

    def half_sums(self, half: Tensor) -> Sums:
        """Of the halves, ``(2 * count, 13)``: of each region the first, then the second."""
        return self._sum_up(self._halved(half), 2 * self.count)

    def either(self, second: Bool[ndarray, " regions"], halves: tuple[Tensor, Tensor]) -> Tensor:
        """The second of two divisions where that is said of a region, else the first."""
        chosen = torch.from_numpy(second).to(self.device)[self._labels[self._inside]]
        return torch.where(chosen, halves[1], halves[0])

    def divide(self, half: Tensor, names: Int32[ndarray, " halves"], count: int) -> None:
        """Give each half its name."""
        self._labels[self._inside] = self._named(names)[self._halved(half)]
        self.count = count

    def touching(self) -> Int64[ndarray, " keys"]:
        """Pairs of 4-neighbouring regions as ``low * count + high``."""
        own, keys = self._labels[self._inside], []
        for step in (1, self._shape[2]):
            other = self._labels[self._inside + step]
            apart = (other >= 0) & (other != own)
            low, high = own[apart], other[apart]
            keys.append(torch.minimum(low, high) * self.count + torch.maximum(low, high))
        return np.asarray(torch.cat(keys).unique().cpu().numpy())

    def rename(self, names: Names, count: int) -> None:
        """Give each region its name."""
        self._labels[self._inside] = self._named(names)[self._labels[self._inside]]
        self.count = count

    def enlarged(self, refinement_labels: Stack, step: int) -> Self:
        """The same regions on images ``step`` times larger."""
        height, width = refinement_labels.planes.shape[1:3]
        labels = self.labels.repeat_interleave(step, dim=1).repeat_interleave(step, dim=2)
        labels = labels[:, :height, :width].masked_fill(~refinement_labels.inside, -1)
        return type(self)(refinement_labels, labels, self.count)

    def each(self) -> list[Labels]:
        """Labels of each image, ``0 .. K-1`` by first appearance in reading order."""
        places = torch.arange(len(self._inside), device=self.device)
        first = torch.full((self.count,), len(self._inside), device=self.device)
        own = self._labels[self._inside]
        first.scatter_reduce_(0, own, places, "amin")
        names = torch.empty_like(first)
        names[first.argsort()] = torch.arange(self.count, device=self.device)
        lowest = torch.full((len(self.stack.sizes),), self.count, device=self.device)
        owners = self._owners()
        lowest.scatter_reduce_(0, owners, names, "amin")
        framed = self._labels.clone()
        framed[self._inside] = (names - lowest[owners])[own]
        whole = framed.view(self._shape)[:, 1:-1, 1:-1].to(torch.int32).cpu().numpy()
        return [
            np.ascontiguousarray(layer[:height, :width])
            for layer, (height, width) in zip(whole, self.stack.sizes, strict=True)
        ]

    def _place(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of each pixel, in its image."""
        _, height, width = self._shape
        return pixels % (height * width) // width - 1, pixels % width - 1

    def _owners(self) -> Tensor:
        """The image that each region lies in."""
        owners = torch.zeros(self.count, dtype=torch.int64, device=self.device)
        layers = self._inside // (self._shape[1] * self._shape[2])
        return owners.index_copy(0, self._labels[self._inside], layers)

    def _named(self, names: Int32[ndarray, " names"]) -> Tensor:
        return torch.from_numpy(names).to(self.device).long()

    def _halved(self, half: Tensor) -> Tensor:
        return self._labels[self._inside] * 2 + (half.long() - 1)

    def _terms(self, pixels: Tensor) -> Tensor:
        """What each pixel adds to its region's sums, ``(N, 13)``; see :data:`_FINE`."""
        y, x = self._place(pixels)
        values = self._planes[pixels].double()
        colours = values[:, :3]
        seen = torch.cat([colours, colours * colours, values[:, 3:]], dim=1)
        places = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=1)
        return torch.cat([places, (seen * _FINE).round().long()], dim=1)

    def _sum_up(self, labels: Tensor, count: int) -> Sums:
        total = torch.zeros((count, COLUMNS), dtype=torch.int64, device=self.device)
        return _coarse(total.index_add_(0, labels, self._terms(self._inside)))

    def _nearest(self, wanted: Tensor) -> Tensor:
        """The pixel of each region nearest to a wanted (x, y); the first where some are."""
        own = self._labels[self._inside]
        y, x = self._place(self._inside)
        away = (x - wanted[own, 0]) ** 2 + (y - wanted[own, 1]) ** 2
        places = torch.arange(len(own), device=self.device)
        best = torch.full((self.count,), torch.iinfo(torch.int64).max, device=self.device)
        best.scatter_reduce_(0, own, away * len(own) + places, "amin")
        return self._inside[best % len(own)]

    def _spread(self, half: Tensor) -> None:
        """From all seeds at once, a step at a time, never leaving a region; the first half wins."""
        left = self._inside[half[self._inside] == 0]
        while len(left):
            around = left[:, None] + self._near
            same = self._labels[around] == self._labels[left, None]
            reached = torch.where(same, half[around], 0)
            new = torch.where((reached == 1).any(dim=1), 1, reached.amax(dim=1))
            half[left] = new
            rest = left[new == 0]
            if len(rest) == len(left):
                break
            left = rest

    def _sweep(
        self, pixels: Tensor, parameters: Tensor, change: Tensor, due: Tensor, model: Model
    ) -> int:
        """Moves the pixels of a class that are due; returns how many moved."""
        pixels = pixels[due[pixels]]
        due[pixels] = False
        own = self._labels[pixels]
        around = self._labels[pixels[:, None] + self._around]
        between = (around[:, list(_NEAR)] != own[:, None]).any(dim=1)
        pixels, own, around = pixels[between], own[between], around[between]
        best = self._best(pixels, own, around, parameters, model)
        moves = best != own
        pixels, own, best = pixels[moves], own[moves], best[moves]
        self._labels[pixels] = best
        due[pixels[:, None] + self._around] = True
        terms = self._terms(pixels)
        change.index_add_(0, own, -terms).index_add_(0, best, terms)
        return len(pixels)

    def _best(
        self, pixels: Tensor, own: Tensor, around: Tensor, parameters: Tensor, model: Model
    ) -> Tensor:
        """The region that each pixel belongs to best, or its own where it may not move."""
        y, x = (place.float() for place in self._place(pixels))
        colours = self._planes[pixels, :3] * model.weight
        best, top = own, torch.full_like(x, -torch.inf)
        free = torch.ones_like(own, dtype=torch.bool)
        for label in (own, *(around[:, near] for near in _NEAR)):
            known = label >= 0
            same = around == label[:, None]
            free &= self._simple[(same * self._bits).sum(dim=1)] | ~known
            others = (len(NEIGHBOURS) - same.sum(dim=1)).float()
            # Where there is no such neighbour -1 looks up some region; its score is not used.
            score = _fit(parameters[label], x, y, colours) - model.potts * others
            better = known & (score > top)
            best, top = torch.where(better, label, best), torch.where(better, score, top)
        return torch.where(free, best, own)


def honeycombs(stack: Stack, sides: Sequence[float]) -> tuple[Tensor, int]:
    """Labels to start from, and how many: a honeycomb with cells of the given side, an image."""
    labels = np.full(stack.planes.shape[:3], -1, np.int64)
    count, made = 0, cache(honeycomb)  # most images of a batch are of one size
    for layer, (height, width), side in zip(labels, stack.sizes, sides, strict=True):
        cells = made(height, width, max(1.0, side))
        layer[:height, :width] = cells + count
        count += int(cells.max()) + 1
    return torch.from_numpy(labels).to(stack.planes.device), count


def _fit(rows: Tensor, x: Tensor, y: Tensor, colours: Tensor) -> Tensor:
    """Log likelihood of each pixel under its row, in the compiled code's order of operations."""
    p = rows.unbind(dim=1)
    dx, dy = x - p[3], y - p[4]
    score = -p[8] - dx * (p[5] * dx + p[6] * dy)
    score = score - p[7] * dy * dy
    for channel in range(3):
        gap = colours[:, channel] - p[channel]
        score = score - gap * gap
    return score


def _coarse(total: Tensor) -> Sums:
    """Whole numbers as sums."""
    found = total.cpu().numpy().astype(np.float64)
    found[:, 6:] /= _FINE
    return found
