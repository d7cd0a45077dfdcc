"""What BASS does to pixels, one image at a time, compiled."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.segmentation.bass.divide import halves
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.statistics import Parameters, Sums, sum_up
from counterveil.segmentation.bass.sweep import sweep
from counterveil.segmentation.bass.topology import SIMPLE
from counterveil.types import Labels

Planes = Float32[ndarray, "height width 4"]
Names = Int32[ndarray, " regions"]


class Pixels(Protocol):
    """Pixels that belong to regions; what is decided about regions is decided elsewhere."""

    count: int
    """Regions."""

    def usual(self) -> Float64[ndarray, " regions"]:
        """Mean area, in pixels, of the regions of the image that each lies in."""
        ...

    def sums(self) -> Sums:
        """Of every region over its pixels."""
        ...

    def settle(self, parameters: Parameters, sums: Sums, sweeps: int, model: Model) -> int:
        """Up to so many sweeps; returns how many pixels moved last, and keeps ``sums`` right."""
        ...

    def halves(self, sums: Sums, *, upright: bool) -> Any:
        """A half, 1 or 2, for each pixel; see :func:`counterveil.segmentation.bass.divide.halves`."""
        ...

    def half_sums(self, half: Any) -> Sums:
        """Of the halves, ``(2 * count, 13)``: of each region the first, then the second."""
        ...

    def either(self, second: Bool[ndarray, " regions"], halves: tuple[Any, Any]) -> Any:
        """The second of two divisions where that is said of a region, else the first."""
        ...

    def divide(self, half: Any, names: Int32[ndarray, " halves"], count: int) -> None:
        """Give each half its name."""
        ...

    def touching(self) -> Int64[ndarray, " keys"]:
        """Pairs of 4-neighbouring regions as ``low * count + high``; some may come twice."""
        ...

    def rename(self, names: Names, count: int) -> None:
        """Give each region its name."""
        ...

    def enlarged(self, refinement_labels: Any, step: int) -> Self:
        """The same regions on what is ``step`` times larger."""
        ...


class CompiledPixels:
    """Those of one image.

    Args:
        planes: CIELAB / 100 and importance.
        labels: ``0 .. K-1``, each one 4-connected.
    """

    def __init__(self, planes: Planes, labels: Labels) -> None:
        self.planes = planes
        self.padded: Int32[ndarray, "height+2 width+2"] = np.pad(labels, 1, constant_values=-1)
        self.count = int(labels.max()) + 1

    @property
    def labels(self) -> Labels:
        """A copy, without the frame."""
        return np.ascontiguousarray(self.padded[1:-1, 1:-1])

    def usual(self) -> Float64[ndarray, " regions"]:
        """As the protocol has it."""
        height, width = self.planes.shape[:2]
        return np.full(self.count, height * width / self.count)

    def sums(self) -> Sums:
        """As the protocol has it."""
        found: Sums = sum_up(self.labels, self.planes, self.count)
        return found

    def settle(self, parameters: Parameters, sums: Sums, sweeps: int, model: Model) -> int:
        """As the protocol has it."""
        due = np.ones(self.padded.shape, np.uint8)
        moved = 0
        for _ in range(sweeps):
            moved = sweep(
                self.padded, self.planes, parameters, sums, SIMPLE, model.weight, model.potts, due
            )
            if moved == 0:
                break
        return moved

    def halves(self, sums: Sums, *, upright: bool) -> UInt8[ndarray, "height width"]:
        """As the protocol has it."""
        return np.asarray(halves(self.labels, sums, upright=upright))

    def half_sums(self, half: UInt8[ndarray, "height width"]) -> Sums:
        """As the protocol has it."""
        found: Sums = sum_up(self._halved(half), self.planes, 2 * self.count)
        return found

    def either(
        self,
        second: Bool[ndarray, " regions"],
        halves: tuple[UInt8[ndarray, "height width"], UInt8[ndarray, "height width"]],
    ) -> UInt8[ndarray, "height width"]:
        """As the protocol has it."""
        return np.where(second[self.labels], halves[1], halves[0])

    def divide(
        self, half: UInt8[ndarray, "height width"], names: Int32[ndarray, " halves"], count: int
    ) -> None:
        """As the protocol has it."""
        self.padded[1:-1, 1:-1] = names[self._halved(half)]
        self.count = count

    def touching(self) -> Int64[ndarray, " keys"]:
        """As the protocol has it."""
        found: Int64[ndarray, " keys"] = _touching(self.padded, self.count)
        return found

    def rename(self, names: Names, count: int) -> None:
        """As the protocol has it."""
        self.padded[1:-1, 1:-1] = names[self.labels]
        self.count = count

    def enlarged(self, refinement_labels: Planes, step: int) -> Self:
        """As the protocol has it."""
        height, width = refinement_labels.shape[:2]
        labels = self.labels.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
        return type(self)(refinement_labels, np.ascontiguousarray(labels))

    def _halved(self, half: UInt8[ndarray, "height width"]) -> Labels:
        return np.asarray(self.labels * 2 + (half - 1))


@compiled
def _touching(padded: Int32[ndarray, "height+2 width+2"], count: int) -> Int64[ndarray, " keys"]:
    """Pairs of 4-neighbouring labels as ``low * count + high``, with repeats."""
    found = np.empty(2 * padded.size, dtype=np.int64)
    end = 0
    for y in range(1, padded.shape[0] - 1):
        last = np.zeros(2, dtype=np.int64) - 1
        for x in range(1, padded.shape[1] - 1):
            own = np.int64(padded[y, x])
            for i in range(2):
                other = np.int64(padded[y + i, x + 1 - i])
                if other >= 0 and other != own:
                    key = min(own, other) * count + max(own, other)
                    if key != last[i]:
                        last[i] = key
                        found[end] = key
                        end += 1
    return found[:end].copy()
