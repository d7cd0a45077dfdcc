"""BASS: regions as a Bayesian mixture of Gaussians in colour and place, as many as it takes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.registry import check_device
from counterveil.segmentation._check import check
from counterveil.segmentation.bass.colour import features
from counterveil.segmentation.bass.hexagons import honeycomb
from counterveil.segmentation.bass.model import Acceptance, Model
from counterveil.segmentation.bass.partition import Partition
from counterveil.segmentation.bass.pixels import CompiledPixels, Pixels
from counterveil.segmentation.bass.scales import coarsening, factors, shrunken
from counterveil.segmentation.connectivity import connect
from counterveil.types import AttributionMap, Image, Labels

P = TypeVar("P", bound=Pixels)

_SURPLUS = 0.5  # how far splits may overshoot a wanted count, as a share of it
_PIXELS = 1 << 23
"""Most pixels in a batch on a device: 167 images of 224 x 224, which take 3.3 GB (on the CPU)."""


@dataclass(frozen=True)
class Bass:
    """Bayesian Adaptive Superpixel Segmentation.

    A region is a Gaussian in CIELAB and place. From a honeycomb, pixels on the borders move to
    the neighbour that explains them best, as long as no region is torn, emptied or pierced;
    from time to time regions are split in two and neighbours are merged, where their colours
    say so: flat areas get few large regions, detailed ones many small. It runs on a shrunken
    image first; the borders then settle at each scale up to the full one.

    With ``acceptance="marginal"`` nothing is drawn at random: the same image gives the same
    labels. ``"hastings"`` draws from ``rng``, which it needs.

    Departures from the authors' program: a split tries a cut across x and one across y, and
    measures distance inside the region, border pixels included; a merge weighs every pair of
    neighbours and joins the best first; the outermost pixels take part; two sweeps a round do
    what four did; components are told apart at the end. The paper on veiling ran it much as
    `Bass.published`.

    Attributes:
        size: side of a region at the start, in pixels of the full image; by default so that
            there are about ``start`` (then more, or fewer, as it adapts).
        start: regions at the start on an image of any size, where no ``size`` is given.
        count: number of regions to return, at most one a pixel; it replaces ``size`` and
            ``acceptance``: the splits that explain most and the merges that cost least are
            made, as many as lead to the number.
        shrink: how many times smaller the image is on which regions are found; by default a
            power of two that leaves them 6 to 12 pixels wide.
        refine: let borders settle at the finer scales; otherwise labels come in blocks.
        color_std: of a region's colour, in CIELAB / 100; lower makes more, tighter regions.
        potts: weight of smooth borders, per 8-neighbour.
        alpha: concentration of the Dirichlet process; higher makes merging rarer.
        acceptance: of splits and merges: by the ratio of marginals, as the authors' program
            does in effect, or by the Hastings ratios that they published.
        guidance_weight: how much finer regions are where guidance is high: at 1 the hottest are
            asked to be a quarter of the size and tolerate a quarter of the variance.
        rounds: of updating, each with a chance to split (every fourth) or merge (likewise).
        sweeps: over the border pixels, in a round.

    Raises:
        UsageError: a parameter is out of its range.

    References:
        Uziel, Ronen and Freifeld, "Bayesian Adaptive Superpixel Segmentation", ICCV 2019.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((32, 48, 3), dtype=np.uint8)
        >>> int(Bass(count=6)(image).max()) + 1
        6
    """

    size: float | None = None
    start: int = 16
    count: int | None = None
    shrink: int | None = None
    refine: bool = True
    color_std: float = 0.018
    potts: float = 0.5
    alpha: float = 0.5
    acceptance: Acceptance = "marginal"
    guidance_weight: float = 1.0
    rounds: int = 11
    sweeps: int = 2

    def __post_init__(self) -> None:
        at_least_one = {
            "size": self.size,
            "start": self.start,
            "count": self.count,
            "shrink": self.shrink,
            "rounds": self.rounds,
            "sweeps": self.sweeps,
        }
        for name, value in at_least_one.items():
            if value is not None and not 1 <= value < math.inf:
                raise UsageError(f"{name} must be at least 1, got {value}")
        for name in ("color_std", "alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("potts", "guidance_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.acceptance not in ("marginal", "hastings"):
            raise UsageError(f"acceptance is marginal or hastings, not {self.acceptance!r}")

    @classmethod
    def published(cls) -> Bass:
        """As the paper's reference code runs it: n = 15 on a quarter, labels in blocks of 4 x 4."""
        return cls(size=60, shrink=4, refine=False, rounds=15, sweeps=4)

    def __call__(
        self,
        image: Image,
        *,
        guidance: AttributionMap | None = None,
        rng: np.random.Generator | None = None,
    ) -> Labels:
        """Labels ``(H, W)``, ``0 .. K-1``, each one 4-connected.

        Args:
            image: ``(H, W, 3)``.
            guidance: ``(H, W)``, any scale, never negative; finer regions where it is high.
            rng: needed for, and only drawn from by, ``acceptance="hastings"``.

        Raises:
            UsageError: the image is none, guidance does not fit it, or ``rng`` is missing.
        """
        check(image, guidance)
        if rng is None and self.acceptance == "hastings":
            raise UsageError("Hastings acceptance draws at random: it needs rng")
        steps = self._steps(*image.shape[:2])
        planes = shrunken(features(image, guidance), steps)
        side = self._side(*image.shape[:2]) / math.prod(steps)
        height, width = planes[-1].shape[:2]
        pixels = CompiledPixels(planes[-1], honeycomb(height, width, max(1.0, side)))
        return connect(self._settled(pixels, planes, steps, rng).labels)

    def many(
        self,
        images: Sequence[Image],
        *,
        guidance: Sequence[AttributionMap | None] | None = None,
        device: str = "cpu",
    ) -> list[Labels]:
        """Labels of each image, in one call; the same whichever images come along.

        On the CPU images are segmented side by side, on all cores, as by :meth:`__call__`. On
        another device they are one batch, of any mixture of sizes, and the labels are those of
        the CPU but where the last digit of a sum decides. With a ``count`` it is always the CPU.

        Args:
            images: ``(H, W, 3)`` each.
            guidance: of each image, or ``None``, as for :meth:`__call__`.
            device: as torch calls it.

        Raises:
            UsageError: an image is none, guidance does not fit, acceptance is ``hastings``, or
                the device is none or not to be used here.
        """
        attribution_maps = [None] * len(images) if guidance is None else list(guidance)
        if len(attribution_maps) != len(images):
            raise UsageError(
                f"{len(images)} images and {len(attribution_maps)} guidances: give one of each"
            )
        if self.acceptance == "hastings":
            raise UsageError("Hastings acceptance draws at random: segment one image at a time")
        for image, attribution_map in zip(images, attribution_maps, strict=True):
            check(image, attribution_map)
        if device == "cpu" or self.count is not None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(
                    pool.map(
                        lambda image, attribution_map: self(image, guidance=attribution_map),
                        images,
                        attribution_maps,
                    )
                )
        return self.batched(images, attribution_maps, device=device)

    def batched(
        self, images: Sequence[Image], guidance: Sequence[AttributionMap | None], *, device: str
    ) -> list[Labels]:
        """As :meth:`many`, by torch on any device, the CPU as well; it is slow there.

        Raises:
            UsageError: the device is none, or not to be used here.
        """
        check_device(device)
        found: dict[int, Labels] = {}
        groups: dict[tuple[int, ...], list[int]] = {}
        for at, image in enumerate(images):
            groups.setdefault(tuple(self._steps(*image.shape[:2])), []).append(at)
        for steps, members in groups.items():
            for some in _chunks(members, [images[at].shape[:2] for at in members]):
                chosen = [images[at] for at in some], [guidance[at] for at in some]
                found.update(zip(some, self._batch(*chosen, steps, device), strict=True))
        return [found[at] for at in range(len(images))]

    def _batch(
        self,
        images: Sequence[Image],
        guidance: Sequence[AttributionMap | None],
        steps: Sequence[int],
        device: str,
    ) -> list[Labels]:
        """Images that are shrunk alike."""
        import torch  # here, since one image at a time needs none

        from counterveil.segmentation.bass.device_pixels import DevicePixels, honeycombs
        from counterveil.segmentation.bass.device_planes import pooled, stack

        scales = [stack(images, guidance, torch.device(device))]
        for step in steps:
            scales.append(pooled(scales[-1], step))
        sides = [self._side(*image.shape[:2]) / math.prod(steps) for image in images]
        pixels = DevicePixels(scales[-1], *honeycombs(scales[-1], sides))
        return self._settled(pixels, scales, steps, None).each()

    def _steps(self, height: int, width: int) -> list[int]:
        """By which an image is shrunk."""
        return factors(self.shrink or coarsening(self._side(height, width), height, width))

    def _settled(
        self,
        pixels: P,
        scales: Sequence[Any],
        steps: Sequence[int],
        rng: np.random.Generator | None,
    ) -> P:
        """Regions found at the last scale, with their borders brought to the first."""
        model = Model(self.color_std, self.potts, self.alpha, self.acceptance, self.guidance_weight)
        partition = Partition(pixels, model)
        self._evolve(partition, rng)
        for refinement_labels, step in zip(scales[-2::-1], steps[::-1], strict=True):
            pixels = pixels.enlarged(refinement_labels, step)
            partition = Partition(pixels, model, partition.area * step**2)
            if self.refine:
                partition.settle(self.sweeps)
                partition.settle(self.sweeps)
        return pixels

    def _side(self, height: int, width: int) -> float:
        """Of a region at the start, in pixels of the full image."""
        if self.count is not None:
            return max(1.0, math.sqrt(height * width / self.count))
        if self.size is not None:
            return float(self.size)
        return max(1.0, math.sqrt(height * width / self.start))

    def _evolve(self, partition: Partition, rng: np.random.Generator | None) -> None:
        for turn in range(self.rounds):
            if turn % 4 == 0 and turn > 0:
                partition.split(prices=self._prices(partition), rng=rng)
            elif turn % 4 == 2:
                partition.merge(most=self._merges(partition), rng=rng)
            partition.settle(self.sweeps)
        if self.count is not None:
            self._reach(partition, self.count)
            partition.settle(self.sweeps)

    def _prices(self, partition: Partition) -> Float64[ndarray, " most"] | None:
        """What cuts must gain, where a number of regions is wanted.

        Those up to that number are free; each further one must gain more than it costs to
        come back to the number by a merge elsewhere.
        """
        if self.count is None:
            return None
        free = np.full(max(0, self.count - partition.count), -np.inf)
        further = partition.merge_costs()[: round(_SURPLUS * self.count)]
        return np.concatenate([free, further])

    def _merges(self, partition: Partition) -> int | None:
        return None if self.count is None else max(0, partition.count - self.count)

    @staticmethod
    def _reach(partition: Partition, count: int) -> None:
        """Merges or splits until there are so many regions, or no pixel is left to split off."""
        partition.merge(most=max(0, partition.count - count))
        done = 1
        while partition.count < count and done:
            done = partition.split(prices=np.full(count - partition.count, -np.inf))


def _chunks(members: Sequence[int], sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Members in batches: each as tall and wide as its tallest and widest, and none too large."""
    some: list[int] = []
    height, width = 0, 0
    for member, (tall, wide) in sorted(zip(members, sizes, strict=True), key=lambda one: one[1]):
        grown = max(height, tall), max(width, wide)
        if some and (len(some) + 1) * math.prod(grown) > _PIXELS:
            yield some
            some, grown = [], (tall, wide)
        some.append(member)
        height, width = grown
    if some:
        yield some
