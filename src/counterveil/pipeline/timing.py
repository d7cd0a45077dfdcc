"""How long each stage of one image took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up milliseconds a stage: ``with stopwatch("search"): ...``."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside, under the stage's name."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1000
            self._spent[stage] = self._spent.get(stage, 0.0) + spent

    def milliseconds(self) -> dict[str, float]:
        """Of each stage, and of the whole since the stopwatch was made."""
        total = (time.perf_counter() - self._start) * 1000
        return {stage: round(spent, 2) for stage, spent in [*self._spent.items(), ("total", total)]}
