"""The `Reasoner` protocol, its answers, and questions asked before and after veiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from counterveil.categories import GENERIC_QUESTIONS, ControlCode
from counterveil.types import Image, ModelInfo

DESCRIPTION_QUESTION = GENERIC_QUESTIONS[0].text
"""The question that asks for a description of the image."""
OPEN_QUESTIONS = frozenset(question.text for question in GENERIC_QUESTIONS)
"""Questions answered with a sentence, not with yes or no."""


@dataclass(frozen=True)
class QuestionAnswer:
    """Answer to one question.

    Attributes:
        question: the question.
        text: answer in words; may be empty.
        p_yes: calibrated probability of yes in ``[0, 1]``; ``None`` if there is no answer, which
            counts neither as yes nor as no.
        reason: why there is no answer.
    """

    question: str
    text: str
    p_yes: float | None
    reason: str = ""

    @property
    def yes(self) -> bool:
        """True if yes is at least as probable as no."""
        return self.p_yes is not None and self.p_yes >= 0.5


@runtime_checkable
class Reasoner(Protocol):
    """Vision-language model that answers questions, conditioned on a control code."""

    @property
    def info(self) -> ModelInfo:
        """Name, version and weights hash of the model."""
        ...

    @property
    def supported_categories(self) -> tuple[str, ...] | None:
        """Keys of the categories that control codes may contain; ``None`` for any."""
        ...

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[QuestionAnswer]]:
        """Answer the questions of each image.

        Args:
            images: RGB ``(H, W, 3)`` uint8, of any sizes.
            questions: questions per image.
            codes: one control code per image.
            text: generate text; False asks for P(yes) only.
        """
        ...


@dataclass(frozen=True)
class GroundedAnswer:
    """Answer about the original image, and P(yes) for the veiled one.

    Attributes:
        original: answer about the original image.
        p_yes_veiled: P(yes) for the veiled image; ``None`` if not asked or not answered.
    """

    original: QuestionAnswer
    p_yes_veiled: float | None = None

    @property
    def grounded(self) -> bool:
        """True if the answer changes from yes to no: it depends on the veiled pixels."""
        return self.original.yes and self.p_yes_veiled is not None and self.p_yes_veiled < 0.5


@dataclass(frozen=True)
class ReasonerResponse:
    """Description of an image and answers to its questions.

    Attributes:
        description: description in words; may be empty.
        description_reason: why there is no description.
        answers: answers to the moderator's questions, in their order.
        code: control code that conditioned the reasoner.
    """

    description: str
    answers: tuple[GroundedAnswer, ...]
    code: ControlCode
    description_reason: str = ""


def ask_with_grounding(
    reasoner: Reasoner,
    image: Image,
    veiled: Image | None,
    questions: Sequence[str],
    code: ControlCode,
) -> ReasonerResponse:
    """Ask for a description and answers; repeat questions answered yes on the veiled image.

    Args:
        reasoner: the reasoner.
        image: original image, RGB ``(H, W, 3)``.
        veiled: the same image, veiled; ``None`` if nothing is veiled.
        questions: the moderator's yes-or-no questions.
        code: control code; categories that the reasoner does not support are dropped.
    """
    if reasoner.supported_categories is not None:
        supported = reasoner.supported_categories
        code = ControlCode({key: g for key, g in code.guidance.items() if key in supported})
    answers = reasoner.answer([image], [[DESCRIPTION_QUESTION, *questions]], [code])[0]
    described, originals = answers[0], answers[1:]
    repeated = [answer.question for answer in originals if answer.yes]
    p_yes_veiled: dict[str, float | None] = {}
    if veiled is not None and repeated:
        # Same code as before, so that only the veil can change an answer.
        answers = reasoner.answer([veiled], [repeated], [code], text=False)[0]
        p_yes_veiled = {answer.question: answer.p_yes for answer in answers}
    return ReasonerResponse(
        described.text,
        tuple(GroundedAnswer(answer, p_yes_veiled.get(answer.question)) for answer in originals),
        code,
        description_reason=described.reason,
    )
