"""The bench ``cse``: classifiers, counterfactuals, released files and borders, on the scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from counterveil import profiles
from counterveil.evaluation import cse
from counterveil.evaluation.accuracy import accuracy, scenes_needed
from counterveil.pipeline import Watch

SEED = 2024
"""Of the scenes measured on; none of them was trained on, whatever the seed (split ``test``)."""


@dataclass(frozen=True)
class Size:
    """How many scenes a category.

    Attributes:
        accuracy: for the classifiers; a quarter of them twice over are look-alikes alone.
        flagged: for the counterfactuals (the paper: 585 in all, 195 a category).
        edge: touching each edge, and as many away from all.
    """

    accuracy: int
    flagged: int
    edge: int


FULL = Size(accuracy=1000, flagged=195, edge=20)
QUICK = Size(accuracy=80, flagged=12, edge=4)


def steps(size: Size) -> int:
    """How often ``step`` will be called."""
    edges = len(cse.EDGES) + 1
    each = scenes_needed(size.accuracy) + (len(cse.rows()) + 1) * size.flagged + edges * size.edge
    return 3 * each


def run(size: Size, *, device: str, step: Callable[[], None]) -> dict[str, Any]:
    """Measure; the result is plain data, every estimate with its 95 % interval."""
    counterveil = profiles.from_profile("proxy", device=device)
    results: dict[str, Any] = {
        "classifiers": {},
        "counterfactuals": {},
        "released": {},
        "edges": {},
    }
    for watch in counterveil.watches:
        key = watch.category.key
        results["classifiers"][key] = accuracy(
            key,
            watch.classifier,
            count=size.accuracy,
            seed=SEED,
            threshold=watch.category.threshold,
            step=step,
        )
        cases = list(cse.flagged(watch, count=size.flagged, seed=SEED))
        for method in cse.rows():
            row = results["counterfactuals"].setdefault(method.name, {})
            row[key] = _plain(cse.explain_all(method, watch, cases, step))
        results["released"][key] = _plain(cse.release_all(counterveil, watch, cases, step))
        results["edges"][key] = _edges(counterveil, watch, size.edge, step)
    return results


def _edges(counterveil: Any, watch: Watch, count: int, step: Callable[[], None]) -> dict[str, Any]:
    rows = {}
    for edge in ("centre", *cse.EDGES):
        cases = list(cse.flagged(watch, count=count, seed=SEED + 1, edge=edge))
        rows[edge] = _plain(cse.release_all(counterveil, watch, cases, step))
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to_dict() for name, value in row.items()}
