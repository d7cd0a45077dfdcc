"""Proposed answers in the order of their file, for a person to accept or correct."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from counterveil.lab.line_files import remove_line
from counterveil.lab.reviewing import Draft, Task
from counterveil.lab.training.reasoner.instruction_data import (
    Entry,
    Proposal,
    Review,
    entries,
    reviews,
    reviews_path,
    save_reviews,
)

_YES_OR_NO = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class AnswerQueue:
    """The proposals of a file without a review; see :class:`counterveil.lab.reviewing.Queue`.

    Args:
        file: proposals, as ``instruction_data.build`` wrote them.

    Raises:
        UsageError: the file or its reviews cannot be read.
    """

    keys = 'y/n = "Yes."/"No.", other words = the answer, =q = the answer "q"'

    def __init__(self, file: Path) -> None:
        self._file = file
        self._proposals = {
            (entry.image, proposal.key): (entry, proposal)
            for entry in entries(file)
            for proposal in entry.proposals
        }
        self._reviews = self._read_reviews()

    @property
    def left(self) -> int:
        """Number of proposals without a review."""
        return len(self._proposals) - len(self._reviews)

    def task(self) -> Task | None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        current = self._current()
        if current is None:
            return None
        entry, proposal = current
        return Task(
            f"{entry.image} ({entry.split}; {', '.join(entry.flagged) or 'safe'})",
            f"{proposal.question}  [{proposal.source}]",
            Draft(proposal.answer, proposal.yes),
            entry.image,
        )

    def choose(self, draft: Draft | None, key: str) -> Draft | None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        if draft is None or draft.yes is None:
            return None
        return {"y": Draft("Yes.", True), "n": Draft("No.", False)}.get(key)

    def write(self, draft: Draft | None, words: str) -> Draft | None:
        """See :class:`counterveil.lab.reviewing.Queue`.

        Words that begin with yes or no decide which of them the answer is; other words keep it.
        """
        if not words:
            return None
        yes = None if draft is None else draft.yes
        found = _YES_OR_NO.match(words)
        if yes is not None and found:
            yes = found[1].lower() == "yes"
        return Draft(words, yes)

    def save(self, draft: Draft) -> None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        current = self._current()
        assert current is not None
        entry, proposal = current
        review = Review(entry.image, proposal.key, draft.text, draft.yes)
        save_reviews(self._file, [review])
        self._reviews[review.image, review.key] = review

    def undo(self) -> str:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        if not self._reviews:
            return ""
        key = next(reversed(self._reviews))
        remove_line(reviews_path(self._file), asdict(self._reviews[key]))
        self._reviews = self._read_reviews()
        entry, proposal = self._proposals[key]
        return f"{entry.image}, {proposal.question}"

    def _current(self) -> tuple[Entry, Proposal] | None:
        open_ = (each for key, each in self._proposals.items() if key not in self._reviews)
        return next(open_, None)

    def _read_reviews(self) -> dict[tuple[str, str], Review]:
        found = reviews(self._file).items()
        return {key: review for key, review in found if key in self._proposals}
