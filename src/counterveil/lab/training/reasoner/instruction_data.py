"""Questions and answers about a user's own images, proposed and then reviewed by a person.

The paper's data were made in this way: default answers, answers of a model, review by a person.
Each line is written at once, so that building and reviewing can stop and continue.

- ``FILE.jsonl``: one image on each line, with a proposal for each question;
- ``FILE.reviews.jsonl``: one review on each line; the last review of an answer is valid. A review
  that is undone is removed from the file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from counterveil.categories import GENERIC_QUESTIONS, Category, ControlCode
from counterveil.errors import ImageError, UsageError
from counterveil.images import encode_png
from counterveil.images import load as load_image
from counterveil.lab.scenes import ReferenceAnswer
from counterveil.lab.training.dataset import iterate_image_folder
from counterveil.lab.training.reasoner.dataset import Example, GroundTruth
from counterveil.reasoning.interfaces import OPEN_QUESTIONS, Reasoner
from counterveil.types import Image

logger = logging.getLogger(__name__)

SAFE_CLASS = "safe"  # class folder of the images that are unsafe in no category
PREVIEW_SIDE = 512  # most pixels of the longer side of a preview
PREVIEW_BLUR = 1 / 60
"""Standard deviation of the blur, relative to the longer side: keeps outlines, hides details."""


@dataclass(frozen=True)
class Proposal:
    """An answer that a person has not yet reviewed."""

    key: str  # of the question
    question: str  # its text
    answer: str  # a sentence
    yes: bool | None  # whether the answer is yes; None for open questions
    source: str  # default, or the name of the model that proposed the answer


@dataclass(frozen=True)
class Entry:
    """One image with its proposals."""

    image: str  # path relative to the data folder
    split: str  # train, validation or test
    flagged: tuple[str, ...]  # keys of the categories in which the image is unsafe
    proposals: tuple[Proposal, ...]  # one for each question


@dataclass(frozen=True)
class Review:
    """A person's review of one proposal."""

    image: str  # path relative to the data folder
    key: str  # of the question
    answer: str  # accepted or corrected
    yes: bool | None  # as in :class:`Proposal`


def build(
    folder: Path, categories: Sequence[Category], out: Path, *, reasoner: Reasoner | None = None
) -> int:
    """Append entries for the images of a folder that are not in ``out`` yet; returns how many.

    Args:
        folder: an ImageFolder whose classes are keys of categories, and ``safe``.
        categories: their questions are asked.
        out: JSON lines to append to.
        reasoner: proposes answers; without one, default answers are proposed.

    Raises:
        UsageError: a class folder is not a category.
    """
    known = {category.key: category for category in categories}
    done = {entry.image for entry in entries(out)} if out.is_file() else set()
    added = 0
    with _appending(out) as lines:
        for path, split, name, _ in iterate_image_folder(folder):
            if name != SAFE_CLASS and name not in known:
                raise UsageError(
                    f"{folder / name} is not a category; name the class folders "
                    f"{', '.join(known)}, {SAFE_CLASS}"
                )
            image = path.relative_to(folder).as_posix()
            if image in done:
                continue
            flagged = () if name == SAFE_CLASS else (name,)
            proposals = _default_proposals(categories, flagged)
            try:
                pixels = load_image(path)[0].pixels
            except ImageError as error:
                logger.warning(f"left out {image}: {error}")
                continue
            if reasoner is not None:
                proposals = _model_proposals(reasoner, pixels, proposals, flagged)
            _append(lines, Entry(image, split, flagged, proposals))
            added += 1
    return added


def entries(file: Path) -> Iterator[Entry]:
    """The entries of a file, without an incomplete last line.

    Raises:
        UsageError: the file cannot be read or is not JSON lines.
    """
    for value in _lines(file):
        proposals = tuple(Proposal(**proposal) for proposal in value["proposals"])
        yield Entry(value["image"], value["split"], tuple(value["flagged"]), proposals)


def reviews(file: Path) -> dict[tuple[str, str], Review]:
    """The valid reviews of a file's proposals, by image and key of the question, oldest first."""
    path = reviews_path(file)
    found: dict[tuple[str, str], Review] = {}
    for value in _lines(path) if path.is_file() else ():
        review = Review(**value)
        found.pop((review.image, review.key), None)  # a later review comes later in the order
        found[review.image, review.key] = review
    return found


def reviews_path(file: Path) -> Path:
    """The file with the reviews of a file's proposals."""
    return file.with_suffix(".reviews.jsonl")


def pending(file: Path) -> Iterator[tuple[Entry, Proposal]]:
    """Proposals without a review."""
    reviewed = reviews(file)
    for entry in entries(file):
        for proposal in entry.proposals:
            if (entry.image, proposal.key) not in reviewed:
                yield entry, proposal


def save_reviews(file: Path, new: Iterable[Review]) -> None:
    """Append reviews of a file's proposals, each as soon as it is made."""
    with _appending(reviews_path(file)) as lines:
        for review in new:
            _append(lines, review)


def examples(file: Path, folder: Path, *, unreviewed: bool = False) -> tuple[Example, ...]:
    """Training examples of the reviewed answers; with ``unreviewed``, of the others too.

    Raises:
        UsageError: there is no answer to train on.
    """
    reviewed = reviews(file)
    found = []
    for entry in entries(file):
        answers = []
        for proposal in entry.proposals:
            review = reviewed.get((entry.image, proposal.key))
            accepted: Review | Proposal | None = review or (proposal if unreviewed else None)
            if accepted is not None:
                answers.append(
                    ReferenceAnswer(proposal.key, proposal.question, accepted.answer, accepted.yes)
                )
        if answers:
            truth = GroundTruth(tuple(answers), entry.flagged)
            found.append(Example(folder / entry.image, entry.split, truth))
    if not found:
        raise UsageError(
            f"{file}: no answer is accepted yet; run `counterveil instruct review {file}`"
        )
    return tuple(found)


def preview(path: Path) -> bytes:
    """A small, grey and blurred version of an image as PNG, for reviewers.

    Raises:
        ImageError: the image cannot be read.
    """
    pixels = load_image(path)[0].pixels
    factor = max(1, -(-max(pixels.shape[:2]) // PREVIEW_SIDE))
    height, width = (max(1, side // factor) for side in pixels.shape[:2])
    # A remainder at the border is cut off, but a side shorter than the factor is used entirely.
    grey = pixels[: height * factor, : width * factor].mean(axis=2)
    rows = np.add.reduceat(grey, np.arange(0, len(grey), factor)[:height], axis=0)
    sums = np.add.reduceat(rows, np.arange(0, grey.shape[1], factor)[:width], axis=1)
    small = sums / (min(factor, len(grey)) * min(factor, grey.shape[1]))
    blurred = gaussian_filter(small, PREVIEW_BLUR * max(small.shape))
    shown: Image = np.repeat(blurred[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)
    return encode_png(shown)


def _default_proposals(
    categories: Sequence[Category], flagged: Sequence[str]
) -> tuple[Proposal, ...]:
    proposals = []
    for category in categories:
        yes = category.key in flagged
        text = f"Yes, the image shows {category.title.lower()} content." if yes else "No."
        proposals += [Proposal(q.key, q.text, text, yes, "default") for q in category.questions]
    return tuple(proposals)


def _model_proposals(
    reasoner: Reasoner, image: Image, defaults: Sequence[Proposal], flagged: Sequence[str]
) -> tuple[Proposal, ...]:
    """Answers of a model; the default where the model gives no text."""
    open_questions = [Proposal(q.key, q.text, "", None, "") for q in GENERIC_QUESTIONS]
    asked = [*open_questions, *defaults]
    known = reasoner.supported_categories
    code = ControlCode({key: 1.0 for key in flagged if known is None or key in known})
    answered = reasoner.answer([image], [[proposal.question for proposal in asked]], [code])[0]
    proposals = []
    for proposal, answer in zip(asked, answered, strict=True):
        if answer.text:
            yes = None if proposal.question in OPEN_QUESTIONS else answer.yes
            proposal = replace(proposal, answer=answer.text, yes=yes, source=reasoner.info.name)
        if proposal.answer:
            proposals.append(proposal)
    return tuple(proposals)


@contextmanager
def _appending(file: Path) -> Iterator[IO[str]]:
    """Open a file for new lines; an incomplete last line is removed first."""
    if file.is_file():
        with file.open("r+b") as old:
            data = old.read()
            old.truncate(data.rfind(b"\n") + 1)
    with file.open("a", encoding="utf-8") as lines:
        yield lines


def _append(lines: IO[str], value: Entry | Review) -> None:
    lines.write(json.dumps(asdict(value)) + "\n")
    lines.flush()


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error}); check the path") from error
    complete, _, _ = text.rpartition("\n")
    for number, line in enumerate(complete.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UsageError(
                f"{file}, line {number} is not JSON ({error}); correct or delete that line"
            ) from error
        yield value
