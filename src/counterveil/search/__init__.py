"""Which regions to veil, so that the decision flips: the paper's search, ours, and rivals'.

A search sees an image, a score function, a fill and a budget. It never learns what "unsafe"
is, nor that there is a network behind the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult

__all__ = ["SEARCHES", "Goal", "Search", "make"]

from counterveil.search.trial import Goal


@runtime_checkable
class Search(Protocol):
    """Finds a set of regions whose veiling brings the score below the goal."""

    def __call__(
        self,
        image: Image,
        score: ScoreFunction,
        labels: Labels,
        importance: Float64[ndarray, " regions"],
        *,
        fill: Fill,
        goal: Goal,
        budget: Budget,
        refinement_labels: Labels | None = None,
        attribution_map: AttributionMap | None = None,
    ) -> SearchResult:
        """Search; ``importance`` ranks the regions (Definition 1), higher first."""
        ...


def _lazily(module: str, name: str) -> Callable[..., Search]:
    def make_it(**options: Any) -> Search:
        found = getattr(import_module(f"counterveil.search.{module}"), name)
        if isinstance(found, type):
            found = found(**options)
        elif options:
            raise TypeError(f"it takes no options, got {', '.join(options)}")
        search: Search = found
        return search

    return make_it


SEARCHES: Mapping[str, Callable[..., Search]] = MappingProxyType(
    {
        "greedy": _lazily("greedy", "greedy"),
        "minimal": _lazily("minimal", "minimal"),
        "csra": _lazily("csra", "Csra"),
        "sedc": _lazily("sedc", "sedc"),
        "ben": _lazily("ben", "Ben"),
        "reference": _lazily("reference", "Reference"),
        "exhaustive": _lazily("exhaustive", "exhaustive"),
    }
)


def make(name: str, **options: Any) -> Search:
    """The search of that name, its constructor given ``options``.

    Raises:
        UsageError: no search has that name, or it takes no such option.
    """
    if name not in SEARCHES:
        raise UsageError(f"no search is called {name!r}; choose one of {', '.join(SEARCHES)}")
    try:
        return SEARCHES[name](**options)
    except TypeError as error:
        raise UsageError(f"search {name!r}: {error}") from error
