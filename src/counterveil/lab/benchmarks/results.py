"""Figures -> JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_PERCENT = {
    "found", "coverage", "precision", "iou", "obfuscation", "irreducible", "verified", "gap",
    "right", "pointing", "energy", "deletion", "insertion", "morf", "lerf", "road",
    "found_more", "coverage_more",
}  # fmt: skip
_TITLES = {
    "images": "images",
    "found": "counterfactual",
    "depth": "avg depth",
    "obfuscation": "avg obfuscation",
    "coverage": "coverage",
    "precision": "precision",
    "iou": "IoU",
    "area_ratio": "veiled / true area",
    "mean_ratio": "mean veiled / mean true",
    "irreducible": "irreducible",
    "gap": "above optimum",
    "evaluations": "evaluations",
    "milliseconds": "ms",
    "regions": "regions",
    "verified": "verified",
    "right": "right by majority",
    "pointing": "pointing game",
    "energy": "energy inside",
    "morf": "ROAD, most relevant first",
    "lerf": "ROAD, least relevant first",
    "road": "ROAD, combined",
    "found_more": "more found",
    "area": "area, ours / theirs",
    "coverage_more": "more coverage",
    "forwards_ratio": "forwards, ours / theirs",
    "soon": "forwards until as little, ours / theirs",
}
TABLES = {
    "paper": "The paper's settings, and our search at the same",
    "attributions": "Attribution maps, over BASS (Table 3)",
    "partitions": "Partitions, ranked by FullGrad (Table 4)",
    "searches": "Searches: ours and the rivals'",
}
"""Titles of the tables of counterfactuals."""

_NOTES = (
    "Depth, obfuscation (the veiled share of the image), coverage of the unsafe pixels, precision "
    "and IoU of the veil are of the images for which a counterfactual was found; *irreducible* "
    "means proven so. Forwards and milliseconds are a whole counterfactual's, the attribution and "
    "the regions included."
)
_OPTIMUM = (
    "*Above optimum* is how much more area is veiled than the exhaustive search proves necessary "
    "over the same regions, on the first images whose partition has at most 16 regions and whose "
    "proof did not take too many images; a veil finer than its regions can be below it, and one "
    "dilated beyond them is above."
)
_BESIDE = (
    "Pair by pair on the same images, all categories together. Area and coverage are of images "
    "for which both found a counterfactual, and so are the forwards *until as little*: until "
    "ours had a flip that veils no more than theirs does in the end (all of ours where it never "
    "had one); it goes on after that, to veil less and to prove that nothing can be given back. "
    "Less area covers less of the unsafe pixels, too: a search stops where the decision flips, "
    "and whole objects are veiled afterwards, which *released* has, as the default settings write "
    "it; all of its forwards count, the check of the written file included."
)
_STRIPS = (
    "Of each category one of the first scenes that its classifier flags: what is safe of the "
    "original, the unsafe pixels and those next to them in grey; where the classifier looked, over "
    "the veiled image; the regions' boundaries, over the same; and the veiled image, as the "
    "default settings release it."
)


def to_json(figures: Mapping[str, Any]) -> str:
    """Stable JSON."""
    return json.dumps(figures, indent=1, sort_keys=True) + "\n"


def to_markdown(
    figures: Mapping[str, Any], *, command: str = "counterveil bench cse", figure: str = "results"
) -> str:
    """The page ``docs/results.md``: means, with 95 % bootstrap intervals in brackets.

    Args:
        figures: as :func:`counterveil.lab.benchmarks.bench_cse.run` returns them.
        command: that made them.
        figure: name, without suffix, of the files beside the page that
            :func:`counterveil.lab.benchmarks.bars.bars` (an SVG, where there are counterfactuals) and
            :func:`counterveil.lab.benchmarks.strips.strips` (a PNG, where released files were
            measured) fill; empty: there are none.
    """
    parts = [
        "# Results",
        f"Made by `{command} --out FILE.json --markdown FILE.md`, on {_subject(figures)} "
        "Means, with 95 % bootstrap intervals in brackets.",
    ]
    if "classifiers" in figures:
        rows = figures["classifiers"]
        parts += ["## Classifiers", table("category", rows, percent=True)]
    if figures["counterfactuals"]:
        parts += ["## Counterfactuals", _NOTES]
        parts += [_OPTIMUM] if _proven(figures["counterfactuals"]) else []
    if figures["counterfactuals"] and "images" not in figures:
        parts.append(
            "The paper found 90.6, 82.0 and 72.8 % at a mean depth of 5.5, veiling 40.1 % of the "
            "image, on its own data."
        )
    if figures["counterfactuals"] and figure:
        parts.append(f"![Counterfactuals found, and how much they veil]({quote(figure)}.svg)")
    for name, methods in figures["counterfactuals"].items():
        parts += [f"### {TABLES[name]}", table("category: method", _by_category(methods))]
    if "beside" in figures:
        parts += ["### Ours beside each rival", _BESIDE, table("ours, beside", figures["beside"])]
    parts += _released(figures)
    if figure and "released" in figures:
        parts += ["## Examples", _STRIPS, f"![Examples, a row a category]({quote(figure)}.png)"]
    return "\n\n".join(parts) + "\n"


def _subject(figures: Mapping[str, Any]) -> str:
    if "images" not in figures:
        return "proxy scenes of the split `test`, whose backgrounds no classifier has seen."
    measured, images = figures["measured"], figures["images"]
    text = (
        f"`{measured['data']}`: the first {images['flagged']} images that "
        f"`{measured['classifier']}` flags, of {images['read']} read."
    )
    ranked = " It only scores, so that occlusion ranked the regions in every row."
    return text if images["opened"] else text + ranked


def _proven(tables: Mapping[str, Any]) -> bool:
    """Whether the least area is known of any image."""
    rows = [row for methods in tables.values() for row in methods.values()]
    return any(_known(part["gap"]) for row in rows for part in row.values() if "gap" in part)


def _by_category(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The paper's order: a category, and all methods on it."""
    categories = next(iter(methods.values()))
    return {f"{c}: {name}": row[c] for c in categories for name, row in methods.items()}


def _released(figures: Mapping[str, Any]) -> list[str]:
    parts = []
    if "released" in figures:
        parts += [
            "## Released files, default settings",
            "Measured on the written file's own bytes against the ground truth.",
            table("category", figures["released"]),
        ]
    if "edges" in figures:
        parts.append("## Unsafe objects at the border")
        for key, rows in figures["edges"].items():
            parts += [f"### {key}", table("object at", rows)]
    return parts


def table(corner: str, rows: Mapping[str, Mapping[str, Any]], *, percent: bool = False) -> str:
    """A Markdown table of estimates, a row each; no gap to the optimum where no row has one.

    Args:
        corner: title of the first column.
        rows: of estimates as plain data, by row and column.
        percent: shown as percent; else those columns that are shares.
    """
    first = next(iter(rows.values()))
    columns = [c for c in first if c != "gap" or any(_known(row[c]) for row in rows.values())]
    lines = [
        f"| {corner} | " + " | ".join(_TITLES.get(c, c) for c in columns) + " |",
        "|" + "---|" * (len(columns) + 1),
    ]
    for name, row in rows.items():
        cells = [_cell(row[c], percent=percent or c in _PERCENT) for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _known(value: Mapping[str, Any] | int) -> bool:
    return isinstance(value, int) or value["mean"] is not None


def _cell(value: Mapping[str, Any] | int, *, percent: bool) -> str:
    if isinstance(value, int):
        return str(value)
    if not _known(value):
        return "–"
    low, mean, high = (_number(value[k], percent=percent) for k in ("low", "mean", "high"))
    return f"{mean} [{low}, {high}]"


def _number(value: float, *, percent: bool) -> str:
    if percent:
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
