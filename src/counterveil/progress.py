"""Progress bars on standard error, shown only if that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """One bar; calling it advances it by one step."""

    def __init__(self, progress: Progress, description: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def __call__(self) -> None:
        """Advance by one step."""
        self._progress.advance(self._task)

    def set_total(self, total: int, *, completed: int = 0) -> None:
        """Set the number of steps, and how many of them were done before."""
        self._progress.update(self._task, total=total, completed=completed)


@contextmanager
def progress_bar(
    total: int | None = None, description: str = "measuring", *, shown: bool = True
) -> Iterator[ProgressBar]:
    """Show a bar while the block runs; if ``total`` is ``None``, call ``set_total`` later."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not (shown and console.is_terminal)) as progress:
        yield ProgressBar(progress, description, total)


def track(
    items: Sequence[Any], description: str, *, function: Callable[[Any], Any] | None = None,
    workers: int = 1,
) -> Iterator[Any]:  # fmt: skip
    """Yield the items in order, or ``function`` of each, and show a bar.

    Args:
        items: items to iterate over.
        description: word in front of the bar.
        function: called on each item; must be picklable if there are several workers.
        workers: number of processes that call ``function``.
    """
    with ExitStack() as stack:
        step = stack.enter_context(progress_bar(len(items), description))
        results: Iterable[Any] = items
        if function and workers > 1:
            # Spawned, not forked: the threads of torch and OpenMP do not survive a fork.
            context = get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
            results = pool.map(function, items, chunksize=8)
        elif function:
            results = map(function, items)
        for result in results:
            yield result
            step()
