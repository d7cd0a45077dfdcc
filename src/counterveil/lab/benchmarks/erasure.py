"""What pixels do to the score as they vanish, or appear, hottest first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from counterveil.types import AttributionMap, Image, ScoreFunction

Order = np.ndarray
"""Flat indices of all pixels, hottest first."""

STEPS = 28
_BATCH = 16


def hottest_first(attribution_map: AttributionMap, rng: np.random.Generator) -> Order:
    """The order in which pixels go; equally hot ones at random.

    A flat map thus scores as chance does, and not as the top of the image.
    """
    shuffled = rng.permutation(attribution_map.size)
    order: Order = shuffled[np.argsort(-attribution_map.ravel()[shuffled], kind="stable")]
    return order


def deletion(image: Image, score: ScoreFunction, order: Order, *, steps: int = STEPS) -> float:
    """Area under P(unsafe) while pixels turn black, hottest first; low is good.

    The authors' constant is the data set's mean, ours the veil's black: the map is asked what
    veiling would do.

    Args:
        image: that is unsafe.
        score: of images.
        order: of its pixels.
        steps: equal parts that vanish one after the other (the authors: 224).

    References:
        Petsiuk, Das, Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box
        Models", BMVC 2018, section 4.2.
    """
    return _area(image, np.zeros_like(image), score, order, steps)


def insertion(image: Image, score: ScoreFunction, order: Order, *, steps: int = STEPS) -> float:
    """Area under P(unsafe) while a blurred image gets its pixels back, hottest first; high is good.

    Blurred as the authors do, by a Gaussian of 5 pixels in a window of 11. Arguments and reference
    as of :func:`deletion`.
    """
    return _area(blurred(image), image, score, order, steps)


def blurred(image: Image) -> Image:
    """The image of which insertion starts."""
    soft = gaussian_filter(image.astype(np.float32), (5, 5, 0), truncate=1.0)
    blurry: Image = soft.round().astype(np.uint8)
    return blurry


def _area(start: Image, end: Image, score: ScoreFunction, order: Order, steps: int) -> float:
    bounds = np.linspace(0, len(order), steps + 1).round().astype(int)
    return area(_curve(lambda at: _mixed(start, end, order[: bounds[at]]), score, steps + 1))


def _mixed(start: Image, end: Image, changed: np.ndarray) -> Image:
    mixed = start.reshape(-1, 3).copy()
    mixed[changed] = end.reshape(-1, 3)[changed]
    return mixed.reshape(start.shape)


def _curve(make: Callable[[int], Image], score: ScoreFunction, count: int) -> np.ndarray:
    """The score of each image, made a batch at a time."""
    starts = range(0, count, _BATCH)
    batches = (np.stack([make(at) for at in range(i, min(i + _BATCH, count))]) for i in starts)
    return np.concatenate([score(batch) for batch in batches])


def area(curve: np.ndarray) -> float:
    """Area under equally spaced values over an axis of length 1, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)
