"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def progress(
    items: Sequence[T],
    what: str,
    *,
    through: Callable[[T], Any] | None = None,
    workers: int = 1,
) -> Iterator[Any]:
    """Yield the items in order, drawing a bar on standard error while it is a terminal.

    Args:
        items: what to go through.
        what: a word on what is being done.
        through: applied to each item; the items themselves where ``None``.
        workers: processes that apply it.
    """
    if workers == 1 or through is None:
        yield from _bar(map(through, items) if through else items, what, len(items))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from _bar(pool.map(through, items, chunksize=8), what, len(items))


def _bar(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    console = Console(stderr=True)
    if not console.is_terminal:
        return items
    return track(items, description=what, total=total, console=console)
