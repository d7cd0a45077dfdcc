"""A reasoner's words, put into a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from counterveil import narrative
from counterveil.categories import Category, ControlCode
from counterveil.reasoning.base import Grounded, Reasoner, consider
from counterveil.record import Answer, CategoryResult, Rationale, Source
from counterveil.types import Image

Asked = Literal["all", "flagged"]


def explain(
    reasoner: Reasoner,
    image: Image,
    veiled: Image,
    categories: Sequence[Category],
    results: Sequence[CategoryResult],
    *,
    code: ControlCode,
    asked: Asked,
    whole: bool,
    source: Source,
) -> Rationale:
    """Ask about an image, and about what is left of it under its veil.

    Args:
        reasoner: who is asked.
        image: as it came.
        veiled: as it was released.
        categories: that are watched for.
        results: of each category.
        code: what the reasoner is conditioned on.
        asked: the questions of all categories, or of those that flagged.
        whole: the whole image is veiled.
        source: the file.
    """
    flagged = {result.key for result in results if result.flagged}
    questions = [
        (category.key, question.text)
        for category in categories
        if asked == "all" or category.key in flagged
        for question in category.questions
    ]
    considered = consider(
        reasoner, image, veiled if flagged else None, [text for _, text in questions], code
    )
    answers = tuple(
        _answer(key, grounded)
        for (key, _), grounded in zip(questions, considered.answers, strict=True)
    )
    return Rationale(
        text=narrative.rationale(
            results, answers, considered.description, whole=whole, source=source
        ),
        description=considered.description,
        answers=answers,
        control=considered.code.to_dict(),
        model=reasoner.info.name,
        statement=narrative.statement(
            results, answers, whole=whole, model=reasoner.info.name, source=source
        ),
    )


def not_assessed(rationale: Rationale, *, veiled: bool) -> str:
    """A warning on what the reasoner left unanswered; empty where it answered all.

    Args:
        rationale: what it said.
        veiled: each yes was asked again under a veil.
    """
    missed = [answer for answer in rationale.answers if answer.p_yes is None]
    said = []
    if not rationale.description:
        said.append("gave no description")
    if missed:
        questions = narrative.pluralize(len(missed), "question")
        said.append(f"did not answer {questions} ({missed[0].reason or 'no reason was given'})")
    again = sum(answer.yes and answer.p_yes_veiled is None for answer in rationale.answers)
    if veiled and again:
        said.append(f"did not answer {narrative.pluralize(again, 'question')} again under the veil")
    return f"the reasoner {narrative.join_list(said)}; that is not a no" if said else ""


def _answer(category: str, grounded: Grounded) -> Answer:
    before = grounded.before
    return Answer(
        category=category,
        question=before.question,
        answer=before.text,
        p_yes=before.p_yes,
        p_yes_veiled=grounded.veiled,
        grounded=grounded.grounded,
        reason=before.reason,
    )
