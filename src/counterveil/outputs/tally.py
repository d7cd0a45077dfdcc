"""Counts of outcomes, and the first images of each."""

from __future__ import annotations

from collections import Counter, defaultdict

from counterveil import narrative
from counterveil.outcomes import OUTCOMES, ExitStatus, exit_status, outcome
from counterveil.record import Record

MAX_EXAMPLES = 5
"""Most images of one outcome that are named at the end of a run."""


class Tally:
    """Counts the outcomes of a run.

    Attributes:
        counts: number of images, by key of the outcome.
        examples: name and reason of the first images, by key of the outcome.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, record: Record) -> None:
        """Count one record."""
        key = outcome(record).key
        self.counts[key] += 1
        if len(self.examples[key]) < MAX_EXAMPLES:
            self.examples[key].append((record.source.name, narrative.summary(record)))

    @property
    def exit_status(self) -> ExitStatus:
        """Of a run that ended by itself."""
        return exit_status(OUTCOMES[key] for key in self.counts)
