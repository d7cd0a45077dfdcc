"""Slopes, and a log-log plot of them as SVG; written by hand, since a plot needs no library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Points = Sequence[tuple[float, float]]

COLOURS = ("#1a6b3c", "#b4551d", "#2f5c9e", "#8a3c8f", "#5f6b1a", "#8f3c3c")
WIDTH, HEIGHT = 420, 260


def slope(points: Points) -> float:
    """Exponent of the power law through the points, by least squares of the logarithms."""
    x, y = np.log(np.array(sorted(points), float)).T
    return float(np.polyfit(x, y, 1)[0])


def plot(series: Mapping[str, Points], *, x: str, y: str) -> str:
    """The series over both logarithmic axes, each with its slope in the legend."""
    every = np.log10([point for points in series.values() for point in points])
    low, high = np.floor(every.min(axis=0) * 2) / 2, np.ceil(every.max(axis=0) * 2) / 2
    high = np.maximum(high, low + 0.5)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across, up = (np.log10(point) - low) / (high - low)
        return round(float(across) * WIDTH, 1), round(float(1 - up) * HEIGHT, 1)

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>']
    parts += _ticks(low[0], high[0], lambda v: place((10**v, 10 ** low[1])), across=True)
    parts += _ticks(low[1], high[1], lambda v: place((10 ** low[0], 10**v)), across=False)
    for at, (name, points) in enumerate(series.items()):
        parts += _line(name, [place(p) for p in sorted(points)], points, at)
    tall = HEIGHT + 60 + 16 * len(series)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-70 -10 {WIDTH + 90} {tall}" '
        f'font-family="sans-serif" font-size="11" role="img" aria-label="{y} over {x}">'
        f'<rect x="-70" y="-10" width="{WIDTH + 90}" height="{tall}" fill="#fff"/>{"".join(parts)}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT + 32}" text-anchor="middle">{x}</text>'
        f'<text transform="translate(-52 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{y}</text>'
        "</svg>\n"
    )


def _ticks(
    low: float, high: float, place: Callable[[float], tuple[float, float]], *, across: bool
) -> list[str]:
    parts = []
    for power in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        x, y = place(power)
        end = (x, 0) if across else (WIDTH, y)
        at = (x, HEIGHT + 15, "middle") if across else (-6, y + 4, "end")
        label = f"{10.0**power:,.10g}"
        parts.append(f'<line x1="{x}" y1="{y}" x2="{end[0]}" y2="{end[1]}" stroke="#ddd"/>')
        parts.append(f'<text x="{at[0]}" y="{at[1]}" text-anchor="{at[2]}">{label}</text>')
    return parts


def _line(name: str, places: list[tuple[float, float]], points: Points, at: int) -> list[str]:
    colour, row = COLOURS[at % len(COLOURS)], HEIGHT + 50 + 16 * at
    path = " ".join(f"{x},{y}" for x, y in places)
    dots = [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places]
    label = f"{name}: slope {slope(points):.2f}" if len(points) > 1 else name
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        *dots,
        f'<circle cx="6" cy="{row - 4}" r="4" fill="{colour}"/>',
        f'<text x="16" y="{row}">{label}</text>',
    ]
