"""What detectors share: one score of several finds, and finds kept while a search asks again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from counterveil.types import Image

T = TypeVar("T")

_KEPT = 8
"""Images whose finds are kept."""


def combined_score(scores: Sequence[float]) -> float:
    """P(unsafe) of an image from P(unsafe) of each thing that was found in it; 0 for none.

    The highest one counts; further ones raise it without moving it across 0.5:
    ``P = 1 - (1 - p_1) prod_i>1 (1 - max(0, 2 p_i - 1))``. So a search sees progress when one
    of two things is veiled.
    """
    if not len(scores):
        return 0.0
    first, *others = sorted(scores, reverse=True)
    return float(1 - (1 - first) * np.prod([1 - max(0.0, 2 * p - 1) for p in others]))


class Remembered(Generic[T]):
    """A function of an image that keeps its last results: a veil is scored, then located.

    Args:
        function: what an image ``(H, W, 3)`` is given to.
    """

    def __init__(self, function: Callable[[Image], T]) -> None:
        self._function = function
        self._results: OrderedDict[bytes, T] = OrderedDict()

    def __call__(self, image: Image) -> T:
        """The function's result, from memory where the same pixels came lately."""
        key = hashlib.blake2b(image.tobytes(), key=str(image.shape).encode()).digest()
        if key not in self._results:
            self._results[key] = self._function(image)
        self._results.move_to_end(key)
        while len(self._results) > _KEPT:
            self._results.popitem(last=False)
        return self._results[key]
