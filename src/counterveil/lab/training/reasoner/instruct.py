"""Questions and answers about one's own images: proposed, reviewed by a person, kept as JSON lines.

The paper's data came about this way: default answers, answers of a model, a person's check.
Both files only grow, so that building and reviewing can stop anywhere and go on.

- ``FILE.jsonl``: one image a line, with a proposal for each question;
- ``FILE.reviews.jsonl``: one judgement of a person a line; the last one on an answer holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from counterveil.categories import GENERIC_QUESTIONS, Category, ControlCode
from counterveil.errors import ImageError, UsageError
from counterveil.images import load as load_image
from counterveil.lab.scenes import ReferenceAnswer
from counterveil.lab.training.data import image_folder
from counterveil.lab.training.reasoner.examples import Example, Truth
from counterveil.reasoning.interfaces import OPEN_QUESTIONS, Reasoner
from counterveil.types import Image

SAFE = "safe"
"""The class folder of images that are unsafe in no category."""


@dataclass(frozen=True)
class Proposal:
    """An answer that a person has yet to accept.

    Attributes:
        key: of the question.
        question: as asked.
        answer: a sentence.
        yes: whether it is yes; ``None`` for questions that are not of that kind.
        source: ``default`` or the name of the model that proposed it.
    """

    key: str
    question: str
    answer: str
    yes: bool | None
    source: str


@dataclass(frozen=True)
class Entry:
    """One image with its proposals.

    Attributes:
        image: path, relative to the data's folder.
        split: train, validation or test.
        flagged: keys of the categories that it is unsafe in.
        proposals: one a question.
    """

    image: str
    split: str
    flagged: tuple[str, ...]
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True)
class Review:
    """A person's judgement on one proposal.

    Attributes:
        image: of the entry.
        key: of the question.
        answer: accepted or corrected.
        yes: as in :class:`Proposal`.
    """

    image: str
    key: str
    answer: str
    yes: bool | None


def build(
    folder: Path,
    categories: Sequence[Category],
    out: Path,
    *,
    reasoner: Reasoner | None = None,
    report: Callable[[str], None],
    step: Callable[[], None] = lambda: None,
) -> int:
    """Propose answers for the images of a folder that are not yet in ``out``; returns how many.

    Args:
        folder: an ImageFolder whose classes are the categories' keys and ``safe``.
        categories: whose questions are asked.
        out: the JSON lines to append to.
        reasoner: proposes answers; without one, default answers are proposed.
        report: told of images that cannot be read.
        step: called after each image.

    Raises:
        UsageError: a class folder is no category.
    """
    known = {category.key: category for category in categories}
    done = {entry.image for entry in entries(out)} if out.is_file() else set()
    added = 0
    with _appending(out) as lines:
        for path, split, name, _ in image_folder(folder):
            if name != SAFE and name not in known:
                raise UsageError(
                    f"{folder / name} is no category; name class folders {', '.join(known)}, {SAFE}"
                )
            relative = path.relative_to(folder).as_posix()
            step()
            if relative in done:
                continue
            flagged = () if name == SAFE else (name,)
            proposals = _defaults(categories, flagged)
            try:
                image = load_image(path)[0].pixels
            except ImageError as error:
                report(f"left out {relative}: {error}")
                continue
            if reasoner is not None:
                proposals = _asked(reasoner, image, proposals, flagged)
            lines.write(json.dumps(asdict(Entry(relative, split, flagged, proposals))) + "\n")
            lines.flush()
            added += 1
    return added


def entries(file: Path) -> Iterator[Entry]:
    """The entries of a file; a last line that was cut off is left out.

    Raises:
        UsageError: the file is not there or holds something else.
    """
    for value in _lines(file):
        proposals = tuple(Proposal(**proposal) for proposal in value["proposals"])
        yield Entry(value["image"], value["split"], tuple(value["flagged"]), proposals)


def reviews(file: Path) -> dict[tuple[str, str], Review]:
    """The judgements on a file's proposals, by image and question."""
    path = reviews_of(file)
    found = (Review(**value) for value in _lines(path)) if path.is_file() else ()
    return {(review.image, review.key): review for review in found}


def reviews_of(file: Path) -> Path:
    """Where the judgements on a file's proposals are kept."""
    return file.with_suffix(".reviews.jsonl")


def pending(file: Path) -> Iterator[tuple[Entry, Proposal]]:
    """Proposals that nobody has judged yet."""
    judged = reviews(file)
    for entry in entries(file):
        for proposal in entry.proposals:
            if (entry.image, proposal.key) not in judged:
                yield entry, proposal


def judge(file: Path, judgements: Iterable[Review]) -> None:
    """Append judgements, each as soon as it is made."""
    with _appending(reviews_of(file)) as lines:
        for review in judgements:
            lines.write(json.dumps(asdict(review)) + "\n")
            lines.flush()


def examples(file: Path, folder: Path, *, unreviewed: bool = False) -> tuple[Example, ...]:
    """What a reasoner can learn: the accepted answers, or all where nobody's review is wanted.

    Raises:
        UsageError: nothing has been accepted yet.
    """
    judged = reviews(file)
    found = []
    for entry in entries(file):
        answers = []
        for proposal in entry.proposals:
            review = judged.get((entry.image, proposal.key))
            said: Review | Proposal | None = review or (proposal if unreviewed else None)
            if said is not None:
                answers.append(
                    ReferenceAnswer(proposal.key, proposal.question, said.answer, said.yes)
                )
        if answers:
            truth = Truth(tuple(answers), entry.flagged)
            found.append(Example(folder / entry.image, entry.split, truth))
    if not found:
        raise UsageError(f"{file}: no answer is accepted yet; run `counterveil instruct review`")
    return tuple(found)


def _defaults(categories: Sequence[Category], flagged: Sequence[str]) -> tuple[Proposal, ...]:
    proposals = []
    for category in categories:
        yes = category.key in flagged
        text = f"Yes, the image shows {category.title.lower()} content." if yes else "No."
        proposals += [Proposal(q.key, q.text, text, yes, "default") for q in category.questions]
    return tuple(proposals)


def _asked(
    reasoner: Reasoner, image: Image, defaults: Sequence[Proposal], flagged: Sequence[str]
) -> tuple[Proposal, ...]:
    """A model's words where it gave some, the defaults where it gave none."""
    open_ones = [Proposal(q.key, q.text, "", None, "") for q in GENERIC_QUESTIONS]
    asked = [*open_ones, *defaults]
    known = reasoner.supported_categories
    code = ControlCode({key: 1.0 for key in flagged if known is None or key in known})
    answered = reasoner.answer([image], [[proposal.question for proposal in asked]], [code])[0]
    found = []
    for proposal, answer in zip(asked, answered, strict=True):
        if answer.text:
            yes = None if proposal.question in OPEN_QUESTIONS else answer.yes
            proposal = replace(proposal, answer=answer.text, yes=yes, source=reasoner.info.name)
        if proposal.answer:
            found.append(proposal)
    return tuple(found)


@contextmanager
def _appending(file: Path) -> Iterator[IO[str]]:
    """A file to add lines to; what a stop cut off at its end is taken away."""
    if file.is_file():
        with file.open("r+b") as old:
            data = old.read()
            old.truncate(data.rfind(b"\n") + 1)
    with file.open("a", encoding="utf-8") as lines:
        yield lines


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error})") from error
    whole, _, _ = text.rpartition("\n")
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{file}, line {number} is not JSON ({error})") from error
        yield value
