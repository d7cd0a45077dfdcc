"""Results of the benchmarks as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from counterveil.lab.benchmarks.plots import TABLE_TITLES
from counterveil.lab.benchmarks.tables import is_known, markdown_table, table

Results = Mapping[str, Any]
"""What the ``run`` function of a benchmark returns."""

_INTERVALS = "Means, with 95 % bootstrap intervals in brackets."
_COUNTERFACTUALS = (
    "Depth, obfuscation (the veiled share of the image), coverage of the unsafe pixels, precision "
    "and IoU of the veil are averaged over the images for which a counterfactual was found. "
    "*Irreducible* means proven so. Evaluations are images scored; evaluations and milliseconds "
    "are those of the whole counterfactual, with attribution and segmentation."
)
_OPTIMUM = (
    "*Above optimum* is the veiled area relative to the smallest flipping area of the same "
    "regions, minus 1. An exhaustive search computes it for the first images, if the partition has "
    "at most 16 regions and the budget suffices. A mask that is finer than its regions can be "
    "below the optimum; a mask dilated beyond them is above."
)
_PAPER_RESULTS = (
    "The paper found 90.6, 82.0 and 72.8 % at a mean depth of 5.5, veiling 40.1 % of the image, "
    "on its own data."
)
_COMPARISONS = (
    "Compared pair by pair on the same images, all categories together; differences and ratios "
    "are ours against the rival's. Area, coverage and *evaluations to match* are those of the "
    "images for which both found a counterfactual. *Evaluations to match* counts the images that "
    "our search scored until it had a flip that veils no more than the rival's result (all of them "
    "if it never had one). Our search then goes on, to veil less and to prove irreducibility. A "
    "smaller area also covers less of the unsafe pixels: a search stops where the decision flips. "
    "Whole objects are completed afterwards: *released* is the file that the default "
    "configuration writes, and counts all evaluations, the verification of the file included."
)
_EXAMPLES = (
    "One of the first flagged scenes of each category. *Safe part*: the original, with the unsafe "
    "pixels and their neighbours in grey. *Attribution*: the attribution map over the veiled "
    "image. *Regions*: the regions' boundaries over the veiled image. *Veiled*: the image as the "
    "default configuration releases it."
)
_ATTRIBUTION_METRICS = (
    "*Pointing game*: the maximum of the map lies on the unsafe object, or at most 15 pixels from "
    "it. *Energy inside*: share of the map's sum on the object's pixels. *Deletion*: area under "
    "P(unsafe) while pixels turn black, highest attribution first (low is good). *Insertion*: the "
    "same while a blurred image gets its pixels back (high is good). *ROAD*: change of P(unsafe) "
    "when pixels are imputed from their neighbours, most relevant first (low is good), least "
    "relevant first (high is good), and half the difference (high is good). *noise* is a map of "
    "random numbers: the chance level. Occlusion has one value for each of BASS's regions, so many "
    "pixels are equal: they are ordered at random, and the pointing game counts the share of them "
    "that hits."
)
_CATEGORY_ACCURACY = (
    "Both generic questions are answered in words. A category counts as mentioned if the words "
    "contain the phrase of one of its unsafe objects. A scene is correct if exactly the categories "
    "in which it is unsafe are mentioned. The paper: 98 %, on unsafe images only."
)
_QUESTION_ACCURACY = (
    "Balanced accuracy of P(yes) over unsafe *and* safe scenes of all categories. The interval of "
    "the mean is over scenes, too. The paper's mean: 94 %, on unsafe images only. A reasoner that "
    "only repeats a right code gets about 96 %; the next table exposes it."
)


def to_json(results: Results) -> str:
    """JSON with sorted keys."""
    return json.dumps(results, indent=1, sort_keys=True) + "\n"


def cse_page(
    results: Results,
    *,
    command: str = "counterveil bench cse",
    figure: str = "results",
    source: str = "",
    sections: Sequence[str] = (),
) -> str:
    """The pages ``docs/results/results.md`` and ``rivals.md``, and that of a folder.

    Args:
        results: results of the benchmark ``cse``.
        command: the command that made them.
        figure: name, without suffix, of the pictures beside the page (the SVG file of
            ``plots.bar_charts``, the PNG file of ``example_panels``); empty: no pictures.
        source: where a folder's images are from.
        sections: what a folder's page says first.
    """
    tables, folder = results["counterfactuals"], "images" in results
    title = "# Photographs" if folder else "# Rivals" if figure == "rivals" else "# Results"
    parts = [title, f"{_made_by(command)}, on {_dataset(results)} {_INTERVALS}"]
    parts += [f"Source of the images: {source}"] if source else []
    parts += sections
    if "classifiers" in results:
        parts += ["## Classifiers", table("category", results["classifiers"], percent=True)]
    if tables:
        parts += ["## Counterfactuals", _COUNTERFACTUALS]
        parts += [_OPTIMUM] if _has_optimum(tables) else []
        parts += [_PAPER_RESULTS] if not folder else []
        if figure:
            parts.append(f"![Counterfactuals found, and veiled area]({quote(figure)}.svg)")
    for name, methods in tables.items():
        parts += [f"### {TABLE_TITLES[name]}", table("category: method", _by_category(methods))]
    if "comparisons" in results:
        parts += ["### Our searches compared with each rival", _COMPARISONS]
        parts.append(table("ours and rival", results["comparisons"]))
    parts += [] if folder else _release_sections(results)
    if figure and "released" in results and not folder:
        parts += ["## Examples", _EXAMPLES, f"![Examples, a row per category]({quote(figure)}.png)"]
    return _join(parts)


def attribution_page(results: Results, *, command: str = "counterveil bench attribution") -> str:
    """The page ``docs/results/attribution.md``."""
    size, rows = results["measured"]["size"], results["attributions"]
    parts = [
        "# Attribution maps against the ground truth",
        f"{_made_by(command)}, on unsafe drawn scenes of the split `test` that their classifier "
        f"flags, {size['scenes']} per category, {min(size['road'], size['scenes'])} of them for "
        f"ROAD. {_INTERVALS}",
        _ATTRIBUTION_METRICS,
    ]
    categories = next(iter(rows.values()))
    for category in ("all", *(key for key in categories if key != "all")):
        chosen = {name: row[category] for name, row in rows.items()}
        parts += [f"## {category}", table("map", chosen)]
    return _join(parts)


def reasoning_page(
    results: Results,
    *,
    command: str = "counterveil bench reasoning",
    diagram: str = "reasoning.svg",
) -> str:
    """The page ``docs/results/reasoning.md``; ``diagram`` is the reliability diagram's file."""
    calibration = results["calibration"]
    specificity = {k: {"specificity": v} for k, v in results["wrong_code_specificity"].items()}
    grounding = {k: {"changed to no": v} for k, v in results["grounding"].items()}
    parts = [
        "# Answers of the reasoner",
        f"{_made_by(command)} with `{results['reasoner']}`, on drawn scenes of the split `test`: "
        f"half of them unsafe, a quarter safe, a quarter look-alikes. {_INTERVALS}",
        "## Category accuracy",
        _CATEGORY_ACCURACY,
        table("scenes", _transpose(results["category_accuracy"]), percent=True),
        "## Question accuracy",
        _QUESTION_ACCURACY,
        table("question", _transpose(results["question_accuracy"]), percent=True),
        "## Wrong code",
        "Safe scenes whose control code wrongly names their category: share of the category's "
        "questions that are rightly answered no.",
        table("category", specificity, percent=True),
        "## Grounding",
        "Share of the true yes answers that turn to no when the scene is veiled.",
        table("veil", grounding, percent=True),
        "## Calibration",
        f"Expected calibration error of P(yes): {calibration['error']:.4f}, over all four "
        f"conditions. ![Reliability diagram]({diagram})",
        _bin_table(calibration["bins"]),
        "## Examples",
        *map(_example, results["examples"]),
    ]
    return _join(parts)


def annotation_page(summary: Results) -> str:
    """The page of ``annotation.summarise``."""
    return _join(
        [
            "# Human evaluation",
            f"Majority of {len(summary['annotators'])} annotators; an item counts when "
            f"{summary['panel']} of them have judged it. An item is undecided if no verdict has "
            "more than half of the votes, or if the majority cannot tell; it is then neither "
            "correct nor incorrect. Kappa is Fleiss' kappa of the verdicts yes, no and cannot "
            "tell.",
            table("question", summary["questions"]),
        ]
    )


def _join(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _made_by(command: str) -> str:
    return f"Made by `{command} --out FILE.json --markdown FILE.md`"


def _dataset(results: Results) -> str:
    if "images" not in results:
        return "drawn scenes of the split `test`, whose backgrounds no classifier was trained on."
    measured, images = results["measured"], results["images"]
    data, spec = measured["data"], measured["classifier"]
    if measured.get("options", {}).get("highest"):
        text = (
            f"`{data}`: the {images['flagged']} images that `{spec}` scores highest, of "
            f"{images['read']} images read. The threshold was moved to {images['threshold']:g}, "
            "the lowest of their scores, so that all of them are flagged."
        )
    else:
        text = (
            f"`{data}`: the first {images['flagged']} images that `{spec}` flags, of "
            f"{images['read']} images read."
        )
    if not images["has_gradients"]:
        text += " It gives no gradients, so occlusion ranked the regions in every row."
    return text


def _has_optimum(tables: Results) -> bool:
    rows = [row for methods in tables.values() for row in methods.values()]
    return any(
        is_known(category["optimality_gap"])
        for row in rows
        for category in row.values()
        if "optimality_gap" in category
    )


def _by_category(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The paper's order: all methods on one category, then the next category."""
    categories = next(iter(methods.values()))
    return {f"{key}: {name}": row[key] for key in categories for name, row in methods.items()}


def _release_sections(results: Results) -> list[str]:
    parts = []
    if "released" in results:
        parts += [
            "## Released files, default configuration",
            "The bytes of the written file, measured against the ground truth.",
            table("category", results["released"]),
        ]
    if "edges" in results:
        parts.append("## Unsafe objects at the border")
        for key, rows in results["edges"].items():
            parts += [f"### {key}", table("position", rows)]
    return parts


def _transpose(by_condition: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for condition, values in by_condition.items():
        for name, value in values.items():
            rows.setdefault(name, {})[condition] = value
    return rows


def _bin_table(bins: Sequence[Mapping[str, float]]) -> str:
    rows = [[f"{b['mean_p_yes']:.3f}", f"{b['frequency']:.3f}", f"{b['count']:.0f}"] for b in bins]
    return markdown_table(["mean P(yes)", "share of true yes", "answers"], rows)


def _example(row: Mapping[str, str]) -> str:
    lines = [f"**{row['scene']}**", ""]
    lines += [f"- {name}: {text}" for name, text in row.items() if name != "scene"]
    return "\n".join(lines)
