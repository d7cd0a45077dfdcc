"""Figures of the bench ``reasoning`` -> Markdown, and the reliability diagram as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterveil.lab.benchmarks.results import table


def to_markdown(
    figures: Mapping[str, Any], *, quick: bool = False, diagram: str = "reasoning.svg"
) -> str:
    """The page ``docs/reasoning.md``; the diagram is the file that :func:`reliability` fills."""
    command = "counterveil bench reasoning" + (" --quick" if quick else "")
    parts = [
        "# What the reasoner says",
        f"Made by `{command} --out FILE.json --markdown FILE.md` with `{figures['reasoner']}`, on "
        "proxy scenes of the split `test`, half of them unsafe, the rest safe or look-alikes. "
        "Means, with 95 % bootstrap intervals in brackets.",
        "## Coarse: which category",
        "Both generic questions are answered in words; a category is spoken of where the words "
        "hold the phrase of one of its unsafe things. Right is who speaks of just the categories "
        "that the scene is unsafe in. The paper: 98 %, on unsafe images alone.",
        table("scenes", _turned(figures["coarse"]), percent=True),
        "## Fine: the nine questions",
        "Balanced accuracy, over unsafe *and* safe scenes of all categories, from P(yes). The "
        "interval of the mean is over scenes, too. The paper's mean: 94 %, on unsafe images "
        "alone. (Who just repeats a right code gets about 96 %: the next table tells the parrot "
        "from the one who looks.)",
        table("question", _turned(figures["fine"]), percent=True),
        "## A wrong code",
        "Safe scenes with the code of a category: share of its questions rightly answered no.",
        table("category", {k: {"no": v} for k, v in figures["wolf"].items()}, percent=True),
        "## Grounding",
        "Share of the true yes answers that turn to no under a veil.",
        table("veil", {k: {"gone": v} for k, v in figures["grounding"].items()}, percent=True),
        "## Calibration",
        f"Expected calibration error of P(yes): {figures['calibration']['error']:.4f}, over all "
        f"four codes. ![Reliability diagram]({diagram})",
        _bins(figures["calibration"]["bins"]),
        "## In its own words",
        *(_sample(row) for row in figures["samples"]),
    ]
    return "\n\n".join(parts) + "\n"


def reliability(bins: Sequence[Mapping[str, float]], *, side: int = 240) -> str:
    """The reliability diagram: how often it is so, over how sure it was; area = how many."""
    most = max((b["count"] for b in bins), default=1)
    dots = "".join(
        f'<circle cx="{b["said"] * side:.1f}" cy="{(1 - b["true"]) * side:.1f}" '
        f'r="{2 + 8 * (b["count"] / most) ** 0.5:.1f}" fill="#1a6b3c" fill-opacity="0.7"/>'
        for b in bins
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-34 -10 {side + 48} {side + 48}" '
        'font-family="sans-serif" font-size="11" role="img" '
        'aria-label="Reliability diagram of P(yes)">'
        f'<rect x="-34" y="-10" width="{side + 48}" height="{side + 48}" fill="#fff"/>'
        f'<rect width="{side}" height="{side}" fill="none" stroke="#999"/>'
        f'<line x1="0" y1="{side}" x2="{side}" y2="0" stroke="#999" stroke-dasharray="4"/>{dots}'
        f'<text x="{side / 2}" y="{side + 28}" text-anchor="middle">P(yes) said</text>'
        f'<text transform="translate(-20 {side / 2}) rotate(-90)" text-anchor="middle">'
        f'share that is so</text><text x="0" y="{side + 14}">0</text>'
        f'<text x="{side}" y="{side + 14}" text-anchor="end">1</text></svg>\n'
    )


def _turned(by_condition: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Conditions as columns."""
    rows: dict[str, dict[str, Any]] = {}
    for condition, values in by_condition.items():
        for name, value in values.items():
            rows.setdefault(name, {})[condition] = value
    return rows


def _bins(bins: Sequence[Mapping[str, float]]) -> str:
    lines = ["| said | so | answers |", "|---|---|---|"]
    lines += [f"| {b['said']:.3f} | {b['true']:.3f} | {b['count']:.0f} |" for b in bins]
    return "\n".join(lines)


def _sample(row: Mapping[str, str]) -> str:
    lines = [f"**{row['scene']}**", ""]
    lines += [f"- {name}: {text}" for name, text in row.items() if name != "scene"]
    return "\n".join(lines)
