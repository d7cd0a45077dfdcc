"""What can truthfully be said of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER
from counterveil.lab.scenes.clutter import CAPTIONS
from counterveil.lab.scenes.kinds import KINDS


@dataclass(frozen=True)
class Answer:
    """A question about a scene and its true answer.

    Attributes:
        key: of the question; a category's, or ``happening`` and ``people``.
        question: as the paper words it.
        answer: a sentence.
        yes: whether it is "yes"; ``None`` for questions that are not of that kind.
    """

    key: str
    question: str
    answer: str
    yes: bool | None = None


def answers(objects: Sequence[str], bystanders: int, clutter: Sequence[str]) -> tuple[Answer, ...]:
    """Answer the paper's questions (Table 2, and both generic ones).

    Things are told in the catalogue's order, so that words depend on what is there alone.

    Args:
        objects: names of the kinds in the scene.
        bystanders: clothed people who are just there.
        clutter: what else is there, as captions call it.
    """
    objects = sorted(objects, key=list(KINDS).index)
    clutter = sorted(clutter, key=CAPTIONS.index)
    happening, people = GENERIC_QUESTIONS
    found = [
        Answer(happening.key, happening.text, _happening(objects, bystanders, clutter)),
        Answer(people.key, people.text, _people(objects, bystanders)),
    ]
    for key in PAPER:
        for question in CATEGORIES[key].questions:
            because = [KINDS[name].phrase for name in objects if question.key in KINDS[name].yes]
            text = f"Yes, the image shows {_list(because)}." if because else "No."
            found.append(Answer(question.key, question.text, text, bool(because)))
    return tuple(found)


def _happening(objects: Sequence[str], bystanders: int, clutter: Sequence[str]) -> str:
    shown = [KINDS[name].phrase for name in objects]
    if bystanders:
        shown.append("a person" if bystanders == 1 else f"{bystanders} people")
    shown += list(clutter)
    return f"The image shows {_list(shown)}." if shown else "The image shows an empty place."


def _people(objects: Sequence[str], bystanders: int) -> str:
    doing = [KINDS[name].person for name in objects if KINDS[name].person]
    if bystanders:
        doing.append("standing by")
    return f"Somebody is {_list(doing)}." if doing else "There are no people in the image."


def _list(things: Sequence[str]) -> str:
    unique = list(dict.fromkeys(things))
    if len(unique) < 2:
        return "".join(unique)
    return f"{', '.join(unique[:-1])} and {unique[-1]}"
