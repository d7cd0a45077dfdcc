"""Tables of estimates in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_PERCENT = {
    "found", "coverage", "precision", "iou", "obfuscation", "irreducible", "verified",
    "optimality_gap", "correct", "pointing_game", "energy", "deletion", "insertion", "morf",
    "lerf", "road", "found_difference", "coverage_difference", "area", "largest_area",
    "few_pieces", "excess",
}  # fmt: skip
"""Columns that are shown as percentages."""
_TITLES = {
    "found": "counterfactual",
    "depth": "avg depth",
    "obfuscation": "avg obfuscation",
    "iou": "IoU",
    "area_ratio": "veiled / true area",
    "mean_area_ratio": "mean veiled / mean true area",
    "optimality_gap": "above optimum",
    "milliseconds": "ms",
    "correct": "correct by majority",
    "pointing_game": "pointing game",
    "energy": "energy inside",
    "morf": "ROAD, most relevant first",
    "lerf": "ROAD, least relevant first",
    "road": "ROAD, combined",
    "found_difference": "found, difference",
    "relative_area": "area, ratio",
    "coverage_difference": "coverage, difference",
    "relative_evaluations": "evaluations, ratio",
    "evaluations_to_match": "evaluations to match, ratio",
    "area": "avg area",
    "largest_area": "largest area",
    "median_pieces": "pieces, median",
    "most_pieces": "pieces, most",
    "few_pieces": "at most 3 pieces",
    "before": "score before",
    "random_fall": "random",
    "fall_difference": "difference",
    "fall_ratio": "ratio",
    "not_flagged": "not flagged",
    "median_iou": "median IoU",
}
"""Titles of columns; other columns have their key as title."""


def table(corner: str, rows: Mapping[str, Mapping[str, Any]], *, percent: bool = False) -> str:
    """A Markdown table of estimates by row and column; ``percent`` makes all of them percentages.

    The optimality gap is left out if no row has one.
    """
    first = next(iter(rows.values()))
    columns = [
        c for c in first if c != "optimality_gap" or any(is_known(row[c]) for row in rows.values())
    ]
    cells = [
        [name, *(_cell(row[c], percent=percent or c in _PERCENT) for c in columns)]
        for name, row in rows.items()
    ]
    return markdown_table([corner, *(_TITLES.get(c, c) for c in columns)], cells)


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells."""
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def is_known(value: Mapping[str, Any] | float) -> bool:
    """Whether a cell has a value."""
    return not isinstance(value, Mapping) or value["n"] > 0


def _cell(value: Mapping[str, Any] | float, *, percent: bool) -> str:
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, Mapping):
        return _number(value, percent=percent)
    if not is_known(value):
        return "–"
    low, mean, high = (_number(value[k], percent=percent) for k in ("low", "mean", "high"))
    return f"{mean} [{low}, {high}]"


def _number(value: float | None, *, percent: bool) -> str:
    if value is None:
        return "∞"
    if percent:
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
