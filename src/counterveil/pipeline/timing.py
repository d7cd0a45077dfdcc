"""Milliseconds that each stage of one examination took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the milliseconds of each stage: ``with stopwatch("search"): ...``."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block and add it to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1000
            self._spent[stage] = self._spent.get(stage, 0.0) + spent

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds of each stage, and in total since the stopwatch was made."""
        total = (time.perf_counter() - self._start) * 1000
        return {stage: round(spent, 2) for stage, spent in [*self._spent.items(), ("total", total)]}
