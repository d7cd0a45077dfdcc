"""Results of `make bench-speed` as a page: `python benchmarks/page.py SPEED.jsonl PAGE.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Results = Mapping[str, Any]
Row = tuple[str, str, str]
"""Comparison, setting, result."""

TITLES = {
    "bass_vs_slic": "time of BASS / time of scikit-image's SLIC, same number of regions",
    "bass_quality": "BASS minus SLIC, same number of regions",
    "fullgrad_vs_gradcam": "FullGrad: speedup over pytorch-grad-cam",
    "ablationcam_vs_gradcam": "Ablation-CAM: speedup over pytorch-grad-cam",
    "search_vs_reference": "whole counterfactual: speedup over the published search",
    "whole_cse": "time of the whole counterfactual / time of its unavoidable model calls",
    "lime_vs_cse": "whole counterfactual: speedup over LIME",
}


def spread(value: Results) -> str:
    return f"{value['median']:.3g} ({value['min']:.3g} to {value['max']:.3g})"


def rows(results: Results) -> Iterator[Row]:
    """Rows for a line of JSON; lines about single images and growth have none."""
    name, _, about = results["benchmark"].partition(" ")
    name, setting = name.rstrip(","), results.get("setting", "")
    title = TITLES[name]
    if "skipped" in results:
        yield title, "", results["skipped"]
    elif name == "bass_vs_slic" and about == "summary":
        where = f"photographs, shorter side {min(results['sides'])} to {max(results['sides'])} px"
        yield title, where, spread(results["bass_over_slic"])
        for over in ("pixels", "regions"):
            slopes = results[f"slope_over_{over}"]
            text = ", ".join(f"{method} {slope:.2f}" for method, slope in slopes.items())
            yield f"growth with {over}: slope of log time", "", text
    elif name == "bass_quality" and about == "all":
        for what, found in results["bass_less_slic"].items():
            text = f"median {found['median']:+.3f}, worst {found['worst']:+.3f}"
            text += f"; below SLIC in {found['worse']} of {found['of']}"
            yield f"{title}: {what}".replace("_", " "), f"{found['images']} images", text
    elif name == "search_vs_reference":
        for search, found in results["times_faster"].items():
            where = f"{setting}, depth {results['depth']}, {search}"
            yield title, where, spread(found)
    elif name == "lime_vs_cse":
        where = f"{results['category']}, {results['scenes']} scenes"
        yield title, where, spread(results["times_faster"])
    elif name == "ablationcam_vs_gradcam":
        how = (
            "" if results["measured"] else ", theirs extrapolated from two subsets of its channels"
        )
        yield title, setting + ("" if results["measured"] else how), spread(results["times_faster"])
    elif "times_faster" in results:
        yield title, setting, spread(results["times_faster"])
    elif "whole_over_unavoidable" in results:
        yield title, f"{setting}, {results['search']}", spread(results["whole_over_unavoidable"])


def page(lines: list[Results]) -> str:
    """The Markdown page; the last machine that is named stands for all."""
    table = [row for results in lines for row in rows(results)]
    where = next((f for f in reversed(lines) if "machine" in f), {})
    versions = {k: v for f in lines for k, v in f.get("versions", {}).items()}
    machine = f"{where.get('machine')}, {where.get('cores')} cores, Python {where.get('python')}"
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return "\n".join(
        [
            "# Speed",
            "",
            "Made by `make bench-speed`. Ratios of times that were measured alternately in one "
            f"run: median (minimum to maximum). {machine}; {listed}.",
            "",
            "| comparison | setting | result |",
            "|---|---|---|",
            *(f"| {what} | {place} | {found} |" for what, place, found in table),
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
