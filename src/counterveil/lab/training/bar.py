"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


class Bar:
    """One bar; :meth:`step` is called as often as :meth:`total` said."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def total(self, count: int, *, done: int = 0) -> None:
        """How many steps there are, and how many of them were made before."""
        self._progress.update(self._task, total=count, completed=done)

    def step(self) -> None:
        """One step further."""
        self._progress.advance(self._task)


@contextmanager
def bar(what: str) -> Iterator[Bar]:
    """A bar on standard error while it is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        yield Bar(progress, what)
