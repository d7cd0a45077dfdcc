"""Figures -> JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_PERCENT = {"found", "coverage", "precision", "obfuscation", "irreducible", "verified"}
_TITLES = {
    "found": "found",
    "depth": "depth",
    "obfuscation": "image veiled",
    "coverage": "coverage",
    "precision": "precision",
    "area_ratio": "veiled / true area",
    "irreducible": "irreducible",
    "forwards": "forwards",
    "regions": "regions",
    "verified": "verified",
}


def to_json(figures: Mapping[str, Any]) -> str:
    """Stable JSON."""
    return json.dumps(figures, indent=1, sort_keys=True) + "\n"


def to_markdown(figures: Mapping[str, Any], *, quick: bool = False) -> str:
    """The page ``docs/results.md``: means, with 95 % bootstrap intervals in brackets."""
    command = "counterveil bench cse" + (" --quick" if quick else "")
    parts = [
        "# Results",
        f"Made by `{command} --out FILE.json --markdown FILE.md`, on proxy scenes of the split "
        "`test`, whose backgrounds no classifier has seen. Means, with 95 % bootstrap intervals "
        "in brackets.",
        "## Classifiers",
        table("category", figures["classifiers"], percent=True),
        "## Counterfactuals",
        "The paper found 90.6, 82.0 and 72.8 % at a mean depth of 5.5, veiling 40.1 % of the "
        "image, on its own data.",
    ]
    for method, rows in figures["counterfactuals"].items():
        parts += [f"### {method}", table("category", rows)]
    parts += [
        "## Released files, default settings",
        "Measured on the written file's own bytes against the ground truth.",
        table("category", figures["released"]),
        "## Unsafe objects at the border",
    ]
    for key, rows in figures["edges"].items():
        parts += [f"### {key}", table("object at", rows)]
    return "\n\n".join(parts) + "\n"


def table(corner: str, rows: Mapping[str, Mapping[str, Any]], *, percent: bool = False) -> str:
    """A Markdown table of estimates, a row each.

    Args:
        corner: title of the first column.
        rows: of estimates as plain data, by row and column.
        percent: shown as percent; else those columns that are shares.
    """
    columns = list(next(iter(rows.values())))
    lines = [
        f"| {corner} | " + " | ".join(_TITLES.get(c, c) for c in columns) + " |",
        "|" + "---|" * (len(columns) + 1),
    ]
    for name, row in rows.items():
        cells = [_cell(row[c], percent=percent or c in _PERCENT) for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Mapping[str, float], *, percent: bool) -> str:
    low, mean, high = (_number(value[k], percent=percent) for k in ("low", "mean", "high"))
    return f"{mean} [{low}, {high}]"


def _number(value: float, *, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.2f}"
