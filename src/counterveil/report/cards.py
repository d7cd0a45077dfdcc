"""Cards of a report, kept on disk while the run goes on: one line of JSON for each image.

A card holds the record and the pictures of :mod:`counterveil.report.pictures`; like these, no card
holds a pixel of an original.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from sys import intern
from typing import Any, BinaryIO

from counterveil.narrative import phrases, summary
from counterveil.outcomes import OUTCOMES, outcome
from counterveil.record import SCHEMA_VERSION, Record
from counterveil.report.pictures import View
from counterveil.serialization import from_plain

MAX_DETAIL = 90
"""Longest text about one image on the list of all images."""


@dataclass(frozen=True)
class Card:
    """What the report shows of one image.

    Attributes:
        record: the record; its ``output_name`` is the key of the card.
        view: the pictures; ``None`` if nothing was released.
    """

    record: Record
    view: View | None = None

    def to_line(self) -> bytes:
        """One line of ASCII JSON."""
        card = {
            "record": self.record.to_dict(),
            "pictures": None if self.view is None else _to_text(self.view),
        }
        return json.dumps(card, allow_nan=False).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Card | None:
        """The card; ``None`` for a line that a crash tore, or that another version wrote."""
        try:
            card = json.loads(line)
        except ValueError:
            return None
        if not isinstance(card, dict) or card.keys() != {"record", "pictures"}:
            return None
        if card["record"].get("schema_version") != SCHEMA_VERSION:
            return None
        pictures = card["pictures"]
        view = None if pictures is None else _from_text(pictures)
        return cls(from_plain(Record, card["record"]), view)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept in memory of a card.

    Attributes:
        offset: where its line starts, in bytes.
        output_name: key of the card.
        name: of the source file.
        outcome: key of the outcome.
        margin: largest distance of a score from its threshold, above it positive.
        detail: a few words for the list of all images.
        flagged: some category flagged the image.
        profile: name of the profile.
        not_covered: what the profile cannot judge.
    """

    offset: int
    output_name: str
    name: str
    outcome: str
    margin: float
    detail: str
    flagged: bool
    profile: str
    not_covered: str

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts the worst first."""
        return -OUTCOMES[self.outcome].severity, -self.margin, self.name


class CardFile:
    """The file of the cards: written at its end only, read at any place."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, card: Card) -> None:
        """Write one line.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        line = card.to_line()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            # A crash or a full disk may have torn the last line; this one must not be joined to it.
            if file.tell() and not _ends_line(file):
                line = b"\n" + line
            file.write(line)

    def entries(self) -> Iterator[Entry]:
        """One for each whole line, in the order of the file."""
        if not self.path.exists():
            return
        offset = 0
        with self.path.open("rb") as file:
            for line in file:
                card = Card.from_line(line)
                if card is not None:
                    yield _entry(card, offset)
                offset += len(line)

    def cards(self, entries: list[Entry]) -> Iterator[Card]:
        """The cards of some entries, in their order."""
        if not entries:
            return
        with self.path.open("rb") as file:
            for entry in entries:
                file.seek(entry.offset)
                card = Card.from_line(file.readline())
                assert card is not None, "the file was read a moment ago"
                yield card


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _entry(card: Card, offset: int) -> Entry:
    record = card.record
    return Entry(
        offset=offset,
        output_name=record.output_name,
        name=record.source.name,
        outcome=outcome(record).key,
        margin=max((c.score - c.threshold for c in record.categories), default=0.0),
        detail=_detail(record),
        flagged=bool(record.flagged),
        profile=record.profile,
        not_covered=intern(record.not_covered),  # one string for all images of a run
    )


def _detail(record: Record) -> str:
    """The flagged categories with their scores, or the reason."""
    text = ", ".join(
        f"{phrases.category_title(c)} {phrases.percent(c.score)}" for c in record.flagged
    )
    text = text or ("" if record.status == "ok" else summary(record))
    if record.rationale is not None and record.rationale.disagreements:
        text = f"disagreement; {text}"
    return text if len(text) <= MAX_DETAIL else f"{text[: MAX_DETAIL - 2]} …"


def _to_text(view: View) -> dict[str, str | None]:
    pictures = {each.name: getattr(view, each.name) for each in fields(view)}
    return {
        name: None if data is None else base64.b64encode(data).decode("ascii")
        for name, data in pictures.items()
    }


def _from_text(pictures: dict[str, Any]) -> View:
    data = {name: base64.b64decode(text) for name, text in pictures.items() if text is not None}
    return View(**data)
