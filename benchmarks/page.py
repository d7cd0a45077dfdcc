"""The figures of `make bench-speed` as a page: `python benchmarks/page.py SPEED.jsonl PAGE.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
Row = tuple[str, str, str]
"""What was compared, where, and what came of it."""

TITLES = {
    "bass_vs_slic": "BASS's time over scikit-image's SLIC's, as many regions",
    "bass_quality": "BASS's figure less SLIC's, as many regions",
    "fullgrad_vs_gradcam": "FullGrad, times faster than pytorch-grad-cam's",
    "ablationcam_vs_gradcam": "Ablation-CAM, times faster than pytorch-grad-cam's",
    "search_vs_reference": "the whole counterfactual, times faster than with the published search",
    "whole_cse": "the whole counterfactual's time over its unavoidable model calls'",
    "lime_vs_cse": "the whole counterfactual, times faster than LIME's explainer",
}


def spread(value: Figures) -> str:
    return f"{value['median']:.3g} (from {value['min']:.3g} to {value['max']:.3g})"


def rows(figures: Figures) -> Iterator[Row]:
    """What a line of JSON says; lines on single images and growth say nothing here."""
    name, _, about = figures["benchmark"].partition(" ")
    name, setting = name.rstrip(","), figures.get("setting", "")
    title = TITLES[name]
    if "skipped" in figures:
        yield title, "", figures["skipped"]
    elif name == "bass_vs_slic" and about == "summary":
        where = f"photographs, shorter side {min(figures['sides'])} to {max(figures['sides'])} px"
        yield title, where, spread(figures["bass_over_slic"])
        for over in ("pixels", "regions"):
            slopes = figures[f"slope_over_{over}"]
            told = ", ".join(f"{method} {slope:.2f}" for method, slope in slopes.items())
            yield f"growth over {over}: slope of log time", "", told
    elif name == "bass_quality" and about == "all":
        for what, found in figures["bass_less_slic"].items():
            told = f"median {found['median']:+.3f}, worst {found['worst']:+.3f}"
            behind = f"; below SLIC in {found['worse']} of {found['of']}"
            yield f"{title}: {what}".replace("_", " "), f"{found['images']} images", told + behind
    elif name == "search_vs_reference":
        for search, found in figures["times_faster"].items():
            where = f"{setting}, depth {figures['depth']}, {search}"
            yield title, where, spread(found)
    elif name == "lime_vs_cse":
        where = f"{figures['category']}, {figures['scenes']} scenes"
        yield title, where, spread(figures["times_faster"])
    elif name == "ablationcam_vs_gradcam":
        how = "" if figures["measured"] else ", theirs drawn out from two subsets of its channels"
        yield title, setting + how, spread(figures["times_faster"])
    elif "times_faster" in figures:
        yield title, setting, spread(figures["times_faster"])
    elif "whole_over_unavoidable" in figures:
        yield title, f"{setting}, {figures['search']}", spread(figures["whole_over_unavoidable"])


def page(lines: list[Figures]) -> str:
    """Markdown; the last line that tells of its machine tells it for all."""
    told = [row for figures in lines for row in rows(figures)]
    where = next((f for f in reversed(lines) if "machine" in f), {})
    versions = {k: v for f in lines for k, v in f.get("versions", {}).items()}
    machine = f"{where.get('machine')}, {where.get('cores')} cores, Python {where.get('python')}"
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return "\n".join(
        [
            "# Speed",
            "",
            "Made by `make bench-speed`; ratios of times taken in turn, in one run each: the "
            f"median, and from the least to the most. {machine}; {listed}.",
            "",
            "| what | where | |",
            "|---|---|---|",
            *(f"| {what} | {place} | {found} |" for what, place, found in told),
            "",
            "![Time over pixels](bass_vs_slic.svg)",
            "",
            "![Time over the depth of the counterfactual](search_vs_reference.svg)",
            "",
        ]
    )


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    target.write_text(page([json.loads(line) for line in source.read_text().splitlines()]))


if __name__ == "__main__":
    main()
