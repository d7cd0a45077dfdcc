"""Counterfactuals of the bench ``cse`` as bars, an SVG written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from counterveil.lab.benchmarks.results import TABLES

WIDTH = 220
"""Of a panel, which is what its greatest value takes, in pixels."""

_ROW, _HEAD, _VALUE = 18, 44, 56  # a row's height, the panels' titles', the room of a value
_LETTER = 6.5  # generous: sans-serif is another font on every machine

Estimate = Mapping[str, Any]
"""``mean``, ``low`` and ``high`` in ``[0, 1]``, all ``None`` where there were no values."""


def bars(figures: Mapping[str, Any]) -> str:
    """How often a counterfactual was found, and how much it veils, side by side; an SVG.

    A bar each method, of all categories together (or of the only one there is), with its 95 %
    interval. What is veiled is scaled to the greatest end of an interval, over all tables.

    Args:
        figures: as :func:`counterveil.lab.benchmarks.bench_cse.run` returns them, with at least one
            table of counterfactuals.
    """
    tables = {
        name: {method: _together(row) for method, row in methods.items()}
        for name, methods in figures["counterfactuals"].items()
    }
    rows = [(method, row) for methods in tables.values() for method, row in methods.items()]
    most = max((row["obfuscation"]["high"] or 0 for _, row in rows), default=0) or 1.0
    left = round(_LETTER * max(len(method) for method, _ in rows)) + 12
    second = left + WIDTH + _VALUE
    parts = [_title(left, "counterfactual found", 1.0), _title(second, "image veiled", most)]
    y = _HEAD
    for name, methods in tables.items():
        parts.append(f'<text x="8" y="{y + 12}" font-weight="bold">{escape(TABLES[name])}</text>')
        y += _ROW + 4
        for method, row in methods.items():
            label = f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(method)}</text>'
            parts.append(label + _bar(left, y, row["found"], 1.0))
            parts.append(_bar(second, y, row["obfuscation"], most))
            y += _ROW
        y += 10
    return _picture(parts, second + WIDTH + _VALUE, y)


def _together(row: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """All categories, or the only one."""
    return row["all"] if "all" in row else next(iter(row.values()))


def _title(x: float, text: str, most: float) -> str:
    return (
        f'<text x="{x}" y="18" font-weight="bold">{text}</text>'
        f'<text x="{x}" y="34" fill="#666">0</text>'
        f'<text x="{x + WIDTH}" y="34" fill="#666" text-anchor="end">{100 * most:.3g} %</text>'
    )


def _bar(x: float, y: float, value: Estimate, most: float) -> str:
    """The bar, its interval over it and its value at the end; a dash where there is no value."""
    axis = f'<line x1="{x}" y1="{y}" x2="{x}" y2="{y + _ROW}" stroke="#999"/>'
    if value["mean"] is None:
        return f'{axis}<text x="{x + 5}" y="{y + 12}">–</text>'
    low, mean, high = (round(WIDTH * value[k] / most, 1) for k in ("low", "mean", "high"))
    middle = y + _ROW // 2
    ends = "".join(f"M{x + end:.1f} {middle - 3}v6" for end in (low, high))
    whisker = f"{ends}M{x + low:.1f} {middle}H{x + high:.1f}"
    return (
        f'<rect x="{x}" y="{y + 3}" width="{mean}" height="{_ROW - 6}" fill="#1a6b3c" '
        f'fill-opacity="0.7"/>{axis}<path d="{whisker}" stroke="#222"/>'
        f'<text x="{x + high + 5:.1f}" y="{y + 12}">{100 * value["mean"]:.1f} %</text>'
    )


def _picture(parts: list[str], width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11" role="img" '
        'aria-label="Share of images for which each method found a counterfactual, and share of '
        f'the image veiled"><rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}'
        "</svg>\n"
    )
