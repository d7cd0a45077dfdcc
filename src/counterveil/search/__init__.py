"""Searches for the regions to veil so that the decision flips: the paper's, ours, and rivals.

A search sees a score function, masks and a budget. It knows neither what "unsafe" means nor
which model computes the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from counterveil.registry import lazy_callable, make_component
from counterveil.search.evaluator import MaskEvaluator
from counterveil.search.problem import SearchProblem
from counterveil.types import SearchResult

__all__ = ["SEARCHES", "MaskEvaluator", "Search", "SearchProblem", "make"]


@runtime_checkable
class Search(Protocol):
    """A search for a set of regions whose veiling brings the score below the target."""

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Solve one problem; ``evaluator`` is new and belongs to the same image."""
        ...


def _lazy_search(module: str, name: str) -> Callable[..., Search]:
    return lazy_callable(f"counterveil.search.{module}", name)


SEARCHES: Mapping[str, Callable[..., Search]] = MappingProxyType(
    {
        "greedy": _lazy_search("greedy", "Greedy"),
        "minimal": _lazy_search("minimal", "Minimal"),
        "levelsets": _lazy_search("level_sets", "LevelSetSearch"),
        "csra": _lazy_search("rivals.subset_searches", "Csra"),
        "sedc": _lazy_search("rivals.subset_searches", "Sedc"),
        "ben": _lazy_search("rivals.ben", "Ben"),
        "reference": _lazy_search("rivals.subset_searches", "Reference"),
        "exhaustive": _lazy_search("rivals.subset_searches", "Exhaustive"),
    }
)


def make(name: str, **options: Any) -> Search:
    """The search of a name, constructed with ``options``.

    Raises:
        UsageError: no search has that name, or it takes no such option.
    """
    return make_component("search", SEARCHES, name, options)
