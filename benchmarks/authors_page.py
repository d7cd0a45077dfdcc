"""Results of `make bench-authors` as a page: `authors_page.py AUTHORS.jsonl PAGE.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from page import spread

Results = Mapping[str, Any]


def agreement(row: Results) -> str:
    """Table row of one search."""
    lowest, highest = (f"{value:,}" for value in row["scored"])
    sizes = row["sizes"]  # empty if no case was solved by both
    cells = [
        *(row[key] for key in ("search", "source", "cases", "found", "same_outcome")),
        *(row[key] for key in ("same_veil", "same_scored")),
        f"{sizes[0]} to {sizes[-1]}" if sizes else "–",
        f"{lowest} to {highest}" if lowest != highest else lowest,
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def page(lines: list[Results]) -> str:
    """The Markdown page."""
    searches = [line for line in lines if line["benchmark"] == "rivals_vs_authors"]
    (bass,) = (line for line in lines if line["benchmark"] == "bass_vs_authors, all")
    machine = f"{bass['machine']}, {bass['cores']} cores, threads: {bass['threads']}"
    return "\n".join(
        [
            "# Compared with the authors' code",
            "",
            "Made by `make bench-authors CLONES=FOLDER` from clones of the named repositories.",
            "",
            "## Searches",
            "",
            "Each case is an image of sixteen regions and a random rule for its scores, in which "
            "regions help, hinder and depend on each other. The authors' functions and ours run on "
            "the same cases; the table counts cases.",
            "",
            "| search | authors' code | cases | flips found | same outcome "
            "| same mask, of those found | same number of evaluations | regions in a mask "
            "| evaluations |",
            "|---|---|---|---|---|---|---|---|---|",
            *map(agreement, searches),
            "",
            "BEN's authors published a tool that makes and ranks tests, not this search. Our tests "
            "check the rules of the paper instead.",
            "",
            "## BASS",
            "",
            f"Setting: {bass['setting']}, which runs without a GPU; the same number of regions "
            f"({machine}). Ours is {spread(bass['times_faster'])} times as fast, and explains "
            f"{spread(bass['explained_variation_more'])} more of the colour variance: median "
            "(minimum to maximum). The CUDA program was not run, because no GPU was available.",
            "",
        ]
    )


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    lines = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    target.write_text(page(lines), "utf-8")


if __name__ == "__main__":
    main()
