"""One HTML page about many records, written card by card.

The page has no script and loads nothing: its Content-Security-Policy allows embedded pictures and
the one style sheet whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from counterveil import __version__
from counterveil.atomic import atomic_file
from counterveil.narrative import phrases, texts
from counterveil.outcomes import OUTCOMES, outcome
from counterveil.record import Answer, Output, Record, utc_now
from counterveil.report.pictures import View

MAX_PICTURES = 1000
"""Most records with embedded pictures: a browser cannot open a page of gigabytes."""

_FILTERS = (("flagged", "Flagged"), *((each.key, each.title) for each in OUTCOMES.values()))
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of characters that do not show, or that change how others show."""


class Report:
    """Writes a page without holding its cards in memory.

    ``path`` appears when the report is closed without an error.

    Args:
        path: the HTML file.
        title: of the page.
        pictures: most records whose pictures are embedded; the others link to their files.
        created: time as records write it; default: now.
    """

    def __init__(
        self,
        path: Path,
        *,
        title: str = "Counterveil report",
        pictures: int = MAX_PICTURES,
        created: str | None = None,
    ) -> None:
        self.path = path
        self._page = _Page(title, pictures, created)

    def __enter__(self) -> Self:
        # The head counts all cards, so the cards wait in a file of their own.
        self._cards: IO[bytes] = tempfile.TemporaryFile(dir=self.path.parent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._cards:
            if kind is None:
                with atomic_file(self.path) as file:
                    self._page.write(file, self._cards)

    def add(self, record: Record, view: View | None = None) -> None:
        """Append the card of one record."""
        self._cards.write(self._page.card(record, view).encode())


@dataclass(frozen=True)
class _Picture:
    """An embedded picture: data URI, CSS class, label and alternative text."""

    uri: str
    key: str
    label: str
    alt: str


class _Page:
    """Renders the parts of a page, and counts the records by filter."""

    def __init__(self, title: str, pictures: int, created: str | None) -> None:
        self._title = title
        self._pictures_left = pictures
        self._created = created
        self._counts: Counter[str] = Counter()
        self._profiles: dict[str, None] = {}
        self._models: dict[tuple[str, str, str], None] = {}
        self._total = 0

    def card(self, record: Record, view: View | None) -> str:
        self._total += 1
        filters = _filters(record)
        self._counts.update(filters)
        self._profiles.setdefault(record.profile)
        for model in record.models:
            self._models.setdefault((model.name, model.version, model.sha256))
        if view is not None:
            self._pictures_left -= 1
            view = view if self._pictures_left >= 0 else None
        return _render(
            "card.html",
            number=self._total,
            record=record,
            filters=sorted(filters),
            pictures=[] if view is None else _pictures(record, view),
            answers=_sorted_answers(record),
        )

    def write(self, file: IO[bytes], cards: IO[bytes]) -> None:
        """Write the head, all cards and the foot."""
        file.write(self._head().encode())
        cards.seek(0)
        shutil.copyfileobj(cards, file)
        file.write(self._foot().encode())

    def _head(self) -> str:
        style = _source("style.css")
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
        return _render(
            "head.html",
            title=self._title,
            style=Markup(style),  # safe: a file of this package, not of a record
            policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'",
            total=self._total,
            counts=self._counts,
            filters=_FILTERS,
            notices=[n for name, n in texts.PROFILE_NOTICES.items() if name in self._profiles],
        )

    def _foot(self) -> str:
        return _render(
            "foot.html",
            created=self._created or utc_now(),
            version=__version__,
            profiles=list(self._profiles),
            models=list(self._models),
        )


def _filters(record: Record) -> set[str]:
    """Keys of the filters that show a record, beside the one that shows all."""
    filters = {outcome(record).key}
    filters |= {"flagged"} if record.flagged else set()
    return filters | ({"veiled_whole"} if record.whole_image_veiled else set())


def _pictures(record: Record, view: View) -> list[_Picture]:
    """The veiled image, and the overlays that there are."""
    alt = phrases.picture_texts(record)
    pictures = (
        ("veiled", "Veiled", view.veiled),
        ("heat", "Heat map", view.attribution_map),
        ("regions", "Regions", view.regions),
        ("mask", "Mask", view.mask),
    )
    return [
        _Picture(_data_uri(data), key, label, alt[key]) for key, label, data in pictures if data
    ]


def _data_uri(data: bytes) -> str:
    format = "png" if data.startswith(b"\x89PNG") else "webp"
    return f"data:image/{format};base64,{base64.b64encode(data).decode('ascii')}"


def _sorted_answers(record: Record) -> list[Answer]:
    """Answers with yes first, then those that were not assessed."""
    order = ("yes", "not_assessed", "no")
    answers = record.rationale.answers if record.rationale else ()
    return sorted(answers, key=lambda answer: order.index(phrases.answer_status(answer)))


def _file_link(output: Output) -> str:
    # "./" keeps a name such as "javascript:x.png" a name; quote keeps any byte of it one.
    return "./" + quote(output.name.encode("utf-8", "surrogateescape"))


def _milliseconds(record: Record) -> float:
    """Total time; old records hold the times of the stages alone."""
    times = record.timing_ms
    return times["total"] if "total" in times else sum(times.values())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("counterveil", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,  # applied to every printed value, before it is escaped
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = phrases.percent
    environment.globals |= {
        "texts": texts,
        "phrases": phrases,
        "outcome": outcome,
        "file_link": _file_link,
        "milliseconds": _milliseconds,
    }
    return environment


def _visible(value: Any) -> Any:
    """Escape invisible characters: a file name must not turn or hide the text behind it."""
    if type(value) is not str or value.isprintable():
        return value
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if unicodedata.category(letter) in _INVISIBLE
        else letter
        for letter in value
    )


def _render(name: str, **values: Any) -> str:
    text: str = _environment().get_template(name).render(**values)
    return text


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    text: str = environment.loader.get_source(environment, name)[0]
    return text
