"""What several people's judgements come to: the majority, and how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterveil.lab.benchmarks.interval import Estimate, estimate
from counterveil.lab.benchmarks.judgements import VERDICTS, Judgements, Verdict
from counterveil.lab.benchmarks.kappa import fleiss_kappa
from counterveil.lab.benchmarks.results import table
from counterveil.lab.benchmarks.samples import Item

PANEL = 3
"""Annotators whose majority counts, as in the paper; fewer where there are not so many yet."""
ALL = "all"


def summary(items: Sequence[Item], store: Judgements) -> dict[str, Any]:
    """By question, and of all together: how many are right by majority, and the agreement.

    An item counts once ``PANEL`` people have judged it (all there are, where they are fewer). It
    is right where more than half of them said yes, wrong where more than half said no, and
    undecided else, which is neither.
    """
    judged = store.of(items)
    people = sorted({name for verdicts in judged.values() for name in verdicts})
    panel = min(PANEL, max(1, len(people)))
    rows: dict[str, Any] = {}
    for question in [*dict.fromkeys(item.question for item in items), ALL]:
        own = [v for item, v in judged.items() if question in (item.question, ALL)]
        rows[question] = _row([list(verdicts.values()) for verdicts in own], panel)
    return {"annotators": people, "panel": panel, "questions": rows}


def to_markdown(figures: Mapping[str, Any]) -> str:
    """The figures of :func:`summary` as a page."""
    people = figures["annotators"]
    return (
        "# What people say of it\n\n"
        f"By majority, of {len(people)} annotators; an item counts once {figures['panel']} of them "
        "have judged it. Undecided: no verdict has more than half of the votes, or the majority "
        "cannot tell; such items are neither right nor wrong. Kappa is Fleiss', over the three "
        "verdicts yes, no and cannot tell.\n\n"
        f"{table('question', figures['questions'])}\n"
    )


def _row(votes: Sequence[Sequence[Verdict]], panel: int) -> dict[str, Any]:
    whole = [some for some in votes if len(some) >= panel]
    majorities = [_majority(some) for some in whole]
    right = [float(one == "yes") for one in majorities if one in ("yes", "no")]
    return {
        "items": len(votes),
        "judged": len(whole),
        "undecided": len(whole) - len(right),
        "right": estimate(right).to_dict(),
        "kappa": _agreement(whole).to_dict(),
    }


def _agreement(votes: Sequence[Sequence[Verdict]], *, draws: int = 300) -> Estimate:
    """Fleiss' kappa, with the percentile interval of bootstrap draws of the items."""
    counts = np.array([[list(some).count(v) for v in VERDICTS] for some in votes], int)
    counts = counts.reshape(-1, len(VERDICTS))
    kappa = fleiss_kappa(counts)
    if np.isnan(kappa):
        return estimate([])
    rng = np.random.default_rng(0)
    drawn = [fleiss_kappa(counts[rng.integers(0, len(votes), len(votes))]) for _ in range(draws)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(kappa, float(low), float(high), len(votes))


def _majority(votes: Sequence[Verdict]) -> Verdict | None:
    verdict, count = Counter(votes).most_common(1)[0]
    return verdict if 2 * count > len(votes) else None
