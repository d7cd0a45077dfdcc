"""The figures of `make bench-authors` as a page: `authors_page.py AUTHORS.jsonl PAGE.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from page import spread

Figures = Mapping[str, Any]


def agreement(row: Figures) -> str:
    """A search beside the authors' own."""
    least, most = (f"{value:,}" for value in row["scored"])
    told = [row["search"], row["source"], row["cases"], row["found"], row["same_outcome"]]
    sizes = row["sizes"]  # none where nothing was found by both
    told += [row["same_veil"], row["same_scored"]]
    told += [f"{sizes[0]} to {sizes[-1]}" if sizes else "–"]
    told += [f"{least} to {most}" if least != most else least]
    return "| " + " | ".join(map(str, told)) + " |"


def page(lines: list[Figures]) -> str:
    """Markdown."""
    searches = [line for line in lines if line["benchmark"] == "rivals_vs_authors"]
    (bass,) = (line for line in lines if line["benchmark"] == "bass_vs_authors, all")
    where = f"{bass['machine']}, {bass['cores']} cores, threads: {bass['threads']}"
    return "\n".join(
        [
            "# Beside the authors' own code",
            "",
            "Made by `make bench-authors CLONES=FOLDER`, with clones of the repositories named.",
            "",
            "## Searches",
            "",
            "Each case is an image of sixteen regions and a random rule for its scores, in which "
            "regions help, hinder and depend on each other. The authors' own functions run on it, "
            "and ours; counts are of cases.",
            "",
            "| search | authors' code | cases | flips found | same outcome "
            "| same veil, of those found | as many images scored | regions in a veil "
            "| images scored |",
            "|---|---|---|---|---|---|---|---|---|",
            *map(agreement, searches),
            "",
            "BEN's authors published a tool that makes and ranks tests, not this search; our tests "
            "hold it to the paper's rules instead.",
            "",
            "## BASS",
            "",
            f"Beside {bass['setting']}, which runs without a GPU, for as many regions ({where}): "
            f"ours is {spread(bass['times_faster'])} times as fast, and explains "
            f"{spread(bass['explained_variation_more'])} more of the colours' variance. Median, "
            "and from the least to the most. The CUDA program was not run, for want of a GPU.",
            "",
        ]
    )


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    lines = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    target.write_text(page(lines), "utf-8")


if __name__ == "__main__":
    main()
