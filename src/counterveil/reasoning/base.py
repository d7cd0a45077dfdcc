"""What a reasoner is, and one that is asked about an image before and after its veil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from counterveil.categories import GENERIC_QUESTIONS, ControlCode
from counterveil.types import Image, ModelInfo

DESCRIBE = GENERIC_QUESTIONS[0].text
"""Asked for a description; its answer is neither yes nor no."""
OPEN = frozenset(question.text for question in GENERIC_QUESTIONS)
"""Questions that are answered by a sentence."""


@dataclass(frozen=True)
class Answered:
    """One question answered.

    Attributes:
        question: as asked.
        text: the model's words; empty where it gave none.
        p_yes: calibrated probability of yes, in ``[0, 1]``; ``None`` where the model did not
            answer, which is neither yes nor no.
        reason: why it did not answer.
    """

    question: str
    text: str
    p_yes: float | None
    reason: str = ""

    @property
    def yes(self) -> bool:
        """More likely yes than no."""
        return self.p_yes is not None and self.p_yes >= 0.5


@runtime_checkable
class Reasoner(Protocol):
    """Anything that answers questions about images, conditioned on a control code."""

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        ...

    @property
    def knows(self) -> tuple[str, ...] | None:
        """Keys of the categories that its codes can speak of; ``None``: any."""
        ...

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[Answered]]:
        """Answers to the questions of each image; without ``text``, P(yes) alone."""
        ...


@dataclass(frozen=True)
class Grounded:
    """A moderator's question, asked of the image as it came and of the veiled one.

    Attributes:
        before: of the image as it came.
        veiled: P(yes) of the veiled image; ``None`` where it was not asked or not answered.
    """

    before: Answered
    veiled: float | None = None

    @property
    def grounded(self) -> bool:
        """Yes before and no after: the answer rests on what is veiled."""
        return self.before.yes and self.veiled is not None and self.veiled < 0.5


@dataclass(frozen=True)
class Considered:
    """What a reasoner says of an image.

    Attributes:
        description: in its own words; empty where it gave none.
        answers: to the moderator's questions.
        code: what it was conditioned on.
        reason: why there is no description.
    """

    description: str
    answers: tuple[Grounded, ...]
    code: ControlCode
    reason: str = ""

    @property
    def unanswered(self) -> tuple[Answered, ...]:
        """Questions that the model did not answer."""
        return tuple(a.before for a in self.answers if a.before.p_yes is None)


def consider(
    reasoner: Reasoner,
    image: Image,
    veiled: Image | None,
    questions: Sequence[str],
    code: ControlCode,
) -> Considered:
    """Ask for a description and the answers; ask each yes again of the veiled image.

    The code is the same both times, so that an answer changes only by what is seen.

    Args:
        reasoner: who is asked.
        image: as it came.
        veiled: under its veil; ``None`` where nothing is veiled.
        questions: a moderator's.
        code: what the reasoner is conditioned on; what it does not know is left out.
    """
    if reasoner.knows is not None:
        known = {key: g for key, g in code.guidance.items() if key in reasoner.knows}
        code = ControlCode(known)
    described, *before = reasoner.answer([image], [[DESCRIBE, *questions]], [code])[0]
    again = [answered.question for answered in before if answered.yes]
    after: dict[str, float | None] = {}
    if veiled is not None and again:
        answers = reasoner.answer([veiled], [again], [code], text=False)[0]
        after = {answered.question: answered.p_yes for answered in answers}
    return Considered(
        described.text,
        tuple(Grounded(answered, after.get(answered.question)) for answered in before),
        code,
        described.reason,
    )
