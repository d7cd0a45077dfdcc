"""BASS: superpixels as a Bayesian mixture of Gaussians that chooses its number of components."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.segmentation import check_inputs
from counterveil.segmentation.bass.initialisation import (
    Features,
    average_pool,
    downscale_factor,
    hexagonal_grid,
    pixel_features,
    prime_factors,
)
from counterveil.segmentation.bass.model import Acceptance, Hyperparameters
from counterveil.segmentation.bass.partition import Partition
from counterveil.segmentation.regions import connected_regions
from counterveil.types import AttributionMap, Image, Labels

_OVERSHOOT = 0.5  # splits may exceed a fixed count by this fraction of it


@dataclass(frozen=True)
class Bass:
    """Bayesian Adaptive Superpixel Segmentation.

    Each region is a Gaussian in CIELAB colour and position. From a grid of hexagons, border
    pixels move to the neighbouring region with the best score; in some iterations regions are
    split and adjacent regions are merged. Flat areas get few large regions, detailed areas many
    small ones. It runs on a reduced image; the borders are then refined on each larger level.

    It differs from the authors' program in these points. A split tries cuts along x and y and
    uses distances inside the region, border pixels included (theirs cuts thin regions apart). A
    merge considers all pairs of neighbours, best first (theirs reads the wrong neighbour if the
    image is not square). Outermost pixels move. An iteration has two sweeps instead of four. At
    the end each connected component gets its own label.

    Attributes:
        size: side of an initial region, in pixels of the full image; by default chosen for
            ``initial_count`` regions.
        initial_count: number of regions at the start, if ``size`` is not given.
        count: number of regions to return, at most one a pixel. It replaces ``size`` and
            ``acceptance``: the best splits and the cheapest merges lead to this number.
        downscale: factor by which the image is reduced; by default the power of two that leaves
            the initial regions 6 to 12 pixels wide.
        refine: refine borders on the larger levels; without it, borders follow blocks of pixels.
        color_std: standard deviation of colour in a region, in CIELAB / 100; a lower value gives
            more regions.
        potts: weight of smooth borders, per 8-neighbour with another label.
        alpha: concentration of the Dirichlet process; a higher value makes merges rarer.
        acceptance: rule for splits and merges: ``marginal``, as the authors' program does in
            effect, or ``hastings``, the published Hastings ratios, which draw from ``rng``.
        guidance_weight: how strongly guidance makes regions finer: with 1, regions with the
            highest guidance should have a quarter of the area and of the variance.
        iterations: rounds of sweeps; every fourth starts with splits, every fourth with merges.
        sweeps: passes over the border pixels in each iteration.

    Raises:
        UsageError: a parameter is out of its range.

    References:
        Uziel, Ronen and Freifeld, "Bayesian Adaptive Superpixel Segmentation", ICCV 2019.
    """

    size: float | None = None
    initial_count: int = 16
    count: int | None = None
    downscale: int | None = None
    refine: bool = True
    color_std: float = 0.018
    potts: float = 0.5
    alpha: float = 0.5
    acceptance: Acceptance = "marginal"
    guidance_weight: float = 1.0
    iterations: int = 11
    sweeps: int = 2

    def __post_init__(self) -> None:
        for name in ("size", "initial_count", "count", "downscale", "iterations", "sweeps"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < math.inf:
                raise UsageError(f"{name} must be at least 1, got {value}")
        for name in ("color_std", "alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("potts", "guidance_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.acceptance not in ("marginal", "hastings"):
            raise UsageError(f"acceptance must be marginal or hastings, got {self.acceptance!r}")

    @classmethod
    def published(cls) -> Bass:
        """Setting of the paper's reference code: n = 15 on a quarter, labels in 4 x 4 blocks."""
        return cls(size=60, downscale=4, refine=False, iterations=15, sweeps=4)

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
            guidance: ``(H, W)``, any scale, non-negative; regions are finer where it is high.
            rng: required and used only by ``acceptance="hastings"``.

        Raises:
            UsageError: image or guidance is malformed, or ``rng`` is missing.
        """
        check_inputs(image, guidance)
        if rng is None and self.acceptance == "hastings":
            raise UsageError("acceptance='hastings' draws random numbers: pass rng with one image")
        full_side = self._initial_side(*image.shape[:2])
        total = self.downscale or downscale_factor(full_side, *image.shape[:2])
        factors = prime_factors(total)
        levels = [pixel_features(image, guidance)]
        for factor in factors:
            levels.append(average_pool(levels[-1], factor))
        partition = self._segment_coarsest(levels[-1], max(1.0, full_side / total), rng)
        for features, factor in zip(levels[-2::-1], factors[::-1], strict=True):
            partition = partition.upsampled(features, factor)
            if self.refine:
                partition.sweep(self.sweeps)
                partition.sweep(self.sweeps)  # with parameters of the moved borders
        return connected_regions(partition.labels)

    def many(
        self,
        images: Sequence[Image],
        *,
        guidance: Sequence[AttributionMap | None] | None = None,
    ) -> list[Labels]:
        """Labels of each image, as :meth:`__call__` returns them, on all CPU cores.

        Raises:
            UsageError: an image or its guidance is malformed, or acceptance is ``hastings``.
        """
        maps = [None] * len(images) if guidance is None else guidance
        if len(maps) != len(images):
            raise UsageError(
                f"got {len(images)} images and {len(maps)} guidance maps: pass one of each"
            )
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda image, heat: self(image, guidance=heat), images, maps))

    def _initial_side(self, height: int, width: int) -> float:
        """Side of an initial region, in pixels of the full image."""
        if self.size is not None and self.count is None:
            return float(self.size)
        return max(1.0, math.sqrt(height * width / (self.count or self.initial_count)))

    def _segment_coarsest(
        self, features: Features, side: float, rng: np.random.Generator | None
    ) -> Partition:
        """Runs all iterations on one level of the pyramid."""
        hyperparameters = Hyperparameters(
            self.color_std, self.potts, self.alpha, self.acceptance, self.guidance_weight
        )
        height, width = features.shape[:2]
        partition = Partition(features, hexagonal_grid(height, width, side), hyperparameters)
        for iteration in range(self.iterations):
            if iteration % 4 == 0 and iteration > 0:
                gains = None if self.count is None else _min_gains(partition, self.count)
                partition.split(min_gains=gains, rng=rng)
            elif iteration % 4 == 2:
                surplus = None if self.count is None else max(0, partition.count - self.count)
                partition.merge(most=surplus, rng=rng)
            partition.sweep(self.sweeps)
        if self.count is not None:
            partition.merge(most=max(0, partition.count - self.count))
            cuts = 1  # 0 cuts: every region is one pixel
            while partition.count < self.count and cuts:
                cuts = partition.split(min_gains=np.full(self.count - partition.count, -np.inf))
            partition.sweep(self.sweeps)
        return partition


def _min_gains(partition: Partition, count: int) -> Float64[ndarray, " most"]:
    """Gain that each cut must exceed if the number of regions is fixed, ascending.

    Cuts up to that number need none. Each further cut must gain more than the merge costs that
    leads back to the number.
    """
    free = np.full(max(0, count - partition.count), -np.inf)
    return np.concatenate([free, partition.merge_costs()[: round(_OVERSHOOT * count)]])
