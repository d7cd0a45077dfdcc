"""Figures of the bench ``attribution`` -> Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterveil.lab.benchmarks.results import table

_NOTES = (
    "*Pointing game*: the hottest pixel lies on the unsafe object, or at most 15 pixels beside it. "
    "*Energy inside*: the share of the map's sum on the object's pixels. *Deletion*: area under "
    "P(unsafe) while pixels turn black, hottest first (low is good); *insertion*: while a blurred "
    "image gets its pixels back (high is good). *ROAD*: change of P(unsafe) when pixels are "
    "guessed from their neighbours, most relevant first (low is good), least relevant first (high "
    "is good), and half the difference (high is good). *noise* is a map of random numbers: what "
    "chance scores. Occlusion hides the 25 regions of BASS, so that equally hot pixels are many; "
    "they go in a random order, and in the pointing game each counts by its part."
)


def to_markdown(figures: Mapping[str, Any], *, quick: bool = False) -> str:
    """The page ``docs/attribution.md``."""
    command = "counterveil bench attribution" + (" --quick" if quick else "")
    size = figures["measured"]["size"]
    parts = [
        "# Attribution maps against the truth",
        f"Made by `{command} --out FILE.json --markdown FILE.md`, on unsafe proxy scenes of the "
        f"split `test` that their classifier flags, {size['scenes']} a category, of which "
        f"{min(size['road'], size['scenes'])} by ROAD. Means, with 95 % bootstrap intervals in "
        "brackets.",
        _NOTES,
    ]
    rows = figures["attributions"]
    for category in ("all", *(key for key in next(iter(rows.values())) if key != "all")):
        some = {name: row[category] for name, row in rows.items()}
        parts += [f"## {category}", table("map", some)]
    return "\n\n".join(parts) + "\n"
