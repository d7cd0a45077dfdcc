"""Metrics of masks, and of attribution maps: pointing games, deletion and insertion, ROAD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Real
from numpy import ndarray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import splu

from counterveil.errors import UsageError
from counterveil.types import AttributionMap, Image, Mask, ScoreFunction

PixelOrder = Int[np.ndarray, " pixels"]
"""Flat indices of all pixels, highest attribution first."""

POINTING_TOLERANCE = 15.0
"""Pixels by which the maximum may miss the object (Zhang et al.)."""
STEPS = 28
"""Steps of deletion and insertion; the authors use 224."""
REMOVED_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the pixels that ROAD removes."""
IMPUTATION_NOISE = 0.01
"""Standard deviation of the imputation's noise, relative to the range of values."""
NEIGHBOUR_WEIGHTS = {
    (row, column): 1 / 6 if 0 in (row, column) else 1 / 12
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if (row, column) != (0, 0)
}
"""Weights of the eight neighbours in the imputation, by offset."""
_BATCH_SIZE = 16


def pointing_game(
    attribution_map: AttributionMap, truth: Mask, *, tolerance: float = POINTING_TOLERANCE
) -> float:
    """1 if the maximum of the map lies at most ``tolerance`` pixels from the object, else 0.

    If several pixels share the maximum (a map by regions), the share of them that do.

    References:
        Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 2018.
    """
    near = distance_transform_edt(~truth) <= tolerance
    return float(near[attribution_map == attribution_map.max()].mean())


def energy_pointing_game(attribution_map: AttributionMap, truth: Mask) -> float:
    """Share of the map's sum inside the object, 0 to 1; 0 for a map of zeros.

    Uses the object's mask, where the authors had bounding boxes.

    References:
        Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
        Networks", CVPR Workshops 2020, section 4.3.
    """
    total = float(attribution_map.sum(dtype=np.float64))
    return float(attribution_map[truth].sum(dtype=np.float64)) / total if total else 0.0


def pixel_order(attribution_map: AttributionMap, rng: np.random.Generator) -> PixelOrder:
    """All pixels, highest attribution first; equal values in random order.

    A constant map thus scores like chance, and not like the top of the image.
    """
    shuffled = rng.permutation(attribution_map.size)
    order: PixelOrder = shuffled[np.argsort(-attribution_map.ravel()[shuffled], kind="stable")]
    return order


def deletion_auc(
    image: Image, score: ScoreFunction, order: PixelOrder, *, steps: int = STEPS
) -> float:
    """Area under P(unsafe) while pixels turn black in ``steps`` equal parts; low is good.

    The authors fill with the data set's mean. Black is what a veil uses.

    References:
        Petsiuk, Das, Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box
        Models", BMVC 2018, section 4.2.
    """
    return _transition_auc(image, np.zeros_like(image), score, order, steps)


def insertion_auc(
    image: Image, score: ScoreFunction, order: PixelOrder, *, steps: int = STEPS
) -> float:
    """Area under P(unsafe) while a blurred image gets its pixels back; high is good (RISE)."""
    return _transition_auc(blur(image), image, score, order, steps)


def blur(image: Image) -> Image:
    """The start image of insertion: the authors' Gaussian, sigma 5 in a window of 11 pixels."""
    smooth = gaussian_filter(image.astype(np.float32), (5, 5, 0), truncate=1.0)
    blurred: Image = smooth.round().astype(np.uint8)
    return blurred


def _transition_auc(
    start: Image, end: Image, score: ScoreFunction, order: PixelOrder, steps: int
) -> float:
    bounds = np.linspace(0, len(order), steps + 1).round().astype(int)

    def mixture(step: int) -> Image:
        mixed = start.reshape(-1, 3).copy()
        changed = order[: bounds[step]]
        mixed[changed] = end.reshape(-1, 3)[changed]
        return mixed.reshape(start.shape)

    return area_under_curve(_scores(mixture, score, steps + 1))


def _scores(make: Callable[[int], Image], score: ScoreFunction, count: int) -> np.ndarray:
    # Images are made batch by batch: all at once would not fit into memory.
    starts = range(0, count, _BATCH_SIZE)
    batches = (np.stack([make(k) for k in range(i, min(i + _BATCH_SIZE, count))]) for i in starts)
    return np.concatenate([score(batch) for batch in batches])


def area_under_curve(curve: np.ndarray) -> float:
    """Area under equally spaced values over an axis of length 1, by the trapezoidal rule."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


@dataclass(frozen=True)
class Road:
    """ROAD: mean change of P(unsafe) when pixels are removed, over the removed shares.

    Attributes:
        morf: most relevant pixels first; low is good.
        lerf: least relevant pixels first; high (near 0) is good.
    """

    morf: float
    lerf: float

    @property
    def combined(self) -> float:
        """``(lerf - morf) / 2``; high is good, 0 is chance."""
        return (self.lerf - self.morf) / 2


def road(
    image: Image,
    score: ScoreFunction,
    order: PixelOrder,
    *,
    rng: np.random.Generator,
    shares: Sequence[float] = REMOVED_SHARES,
    noise: float = IMPUTATION_NOISE,
) -> Road:
    """Remove and Debias, without retraining.

    Args:
        image: an unsafe image.
        score: P(unsafe) of images.
        order: order of its pixels.
        rng: random numbers of the noise.
        shares: shares of the pixels that are removed, each below 1.
        noise: standard deviation of the noise; 1 is the whole range of values.

    References:
        Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
        ICML 2022. The combination is pytorch-grad-cam's ``ROADCombined``.
    """
    changes = []
    for pixels in (order, order[::-1]):
        removed = [_remove(image, pixels, share, rng, noise) for share in shares]
        scores = score(np.stack([image, *removed]))
        changes.append(float(np.mean(scores[1:] - scores[0])))
    return Road(*changes)


def _remove(
    image: Image, pixels: PixelOrder, share: float, rng: np.random.Generator, noise: float
) -> Image:
    removed = np.zeros(image.shape[0] * image.shape[1], bool)
    removed[pixels[: round(share * len(pixels))]] = True
    return impute(image, removed.reshape(image.shape[:2]), rng=rng, noise=noise)


def impute(
    image: Image, removed: Mask, *, rng: np.random.Generator, noise: float = IMPUTATION_NOISE
) -> Image:
    """Noisy linear imputation: a removed pixel is the weighted mean of its neighbours, plus noise.

    All removed pixels are solved for at once. Neighbours outside the image do not count; not all
    pixels may be removed.

    References:
        Rong et al., ICML 2022, section 5; written from the article, tested against its code.
    """
    if not removed.any():
        return image.copy()
    matrix, known = _linear_system(image.astype(np.float64), removed)
    # The matrix is symmetric and positive definite, so no pivoting is needed.
    factors = splu(
        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    imputed = factors.solve(known) + rng.normal(0, noise * 255, known.shape)
    result = image.copy()
    result[removed] = imputed.round().clip(0, 255).astype(np.uint8)
    return result


def _linear_system(image: np.ndarray, removed: Mask) -> tuple[csc_matrix, np.ndarray]:
    """``sum of weights * pixel - weights * removed neighbours = weights * known neighbours``."""
    count, channels = int(removed.sum()), image.shape[-1]
    number = np.full(removed.shape, -1)
    number[removed] = np.arange(count)
    number = np.pad(number, 1, constant_values=-2)  # -1 is known, -2 outside the image
    values = np.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    own, stride = np.flatnonzero(number >= 0), removed.shape[1] + 2
    diagonal, known = np.zeros(count), np.zeros((count, channels))
    entries = []
    for (row, column), weight in NEIGHBOUR_WEIGHTS.items():
        neighbours = own + row * stride + column
        numbers = number.ravel()[neighbours]
        diagonal += weight * (numbers != -2)
        known += weight * np.where((numbers == -1)[:, None], values[neighbours], 0)
        rows = np.flatnonzero(numbers >= 0)
        entries.append((rows, numbers[rows], np.full(len(rows), -weight)))
    entries.append((np.arange(count), np.arange(count), diagonal))
    rows, columns, weights = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return coo_matrix((weights, (rows, columns)), shape=(count, count)).tocsc(), known


@dataclass(frozen=True)
class MaskOverlap:
    """A mask compared with a ground truth.

    Attributes:
        coverage: share of the unsafe pixels that are veiled (recall).
        precision: share of the veiled pixels that are unsafe.
        iou: intersection over union.
        area_ratio: veiled area over true area.
        area: veiled area over the image's area.
    """

    coverage: float
    precision: float
    iou: float
    area_ratio: float
    area: float


def mask_overlap(mask: Mask, truth: Mask) -> MaskOverlap:
    """Compare two masks ``(H, W)``; ``truth`` must not be empty."""
    intersection = float((mask & truth).sum())
    veiled, unsafe = float(mask.sum()), float(truth.sum())
    return MaskOverlap(
        coverage=intersection / unsafe,
        precision=intersection / veiled if veiled else 0.0,
        iou=intersection / (veiled + unsafe - intersection),
        area_ratio=veiled / unsafe,
        area=veiled / mask.size,
    )


def explained_variation(
    image: Real[ndarray, "rows columns channels"], labels: Int[ndarray, "height width"]
) -> float:
    """Share of the colour variance that the regions' mean colours explain, 0 to 1 (best).

    Any colour space and number type. An image of one colour is explained in full.

    Raises:
        UsageError: the image and the labels differ in size, or are empty.

    References:
        Stutz, Hermans, Leibe, "Superpixels: An Evaluation of the State-of-the-Art", 2018.
    """
    if labels.shape != image.shape[:2] or labels.size == 0:
        raise UsageError(f"labels {labels.shape} do not fit the image {image.shape}")
    flat = labels.ravel()
    pixels = image.reshape(flat.size, -1).astype(np.float64)
    pixels -= pixels.mean(axis=0)
    total = float((pixels**2).sum())
    if total == 0:
        return 1.0
    size = np.bincount(flat)
    sums = np.stack([np.bincount(flat, weights=plane) for plane in pixels.T])  # (C, K)
    return float((sums**2 / np.maximum(size, 1)).sum() / total)
