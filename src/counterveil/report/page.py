"""Cards -> one HTML file, written as they come.

The page has no script and asks for nothing: its Content-Security-Policy allows embedded
pictures and the one style sheet whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterable
from functools import cache
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from counterveil import __version__
from counterveil.record import Record, utc_now
from counterveil.report.card import card, filters, shown
from counterveil.report.view import View

PICTURES = 1000
"""Most records with embedded pictures: a page of gigabytes opens nowhere."""

_FILTERS = (
    ("flagged", "Flagged"),
    ("veiled", "Veiled and verified"),
    ("not_found", "Whole image veiled"),
    ("unverified", "Not verified"),
    ("clear", "Not flagged"),
    ("partial", "In part"),
    ("errors", "Errors"),
)

_PROFILES = {
    "proxy": "Proxy profile: for drawn scenes only. Its classifiers know pictograms; their "
    "scores say nothing about photographs.",
}


class Report:
    """Writes a report without holding it: cards go to a draft, the counts come before them.

    ``path`` appears when the report is closed without an error, whole.

    Args:
        path: the HTML file.
        title: of the page.
        pictures: most records whose pictures are embedded; the rest link to their files.
        created: when, as records write it; now where not given.
    """

    def __init__(
        self,
        path: Path,
        *,
        title: str = "Counterveil report",
        pictures: int = PICTURES,
        created: str | None = None,
    ) -> None:
        self.path = path
        self._page = _Page(title, pictures, created)

    def __enter__(self) -> Self:
        self._cards: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", dir=self.path.parent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._cards:
            if kind is None:
                self._finish()

    def add(self, record: Record, view: View | None = None) -> None:
        """Append the card of one record."""
        self._cards.write(self._page.card(record, view))

    def _finish(self) -> None:
        draft = self.path.with_name(f".counterveil-{secrets.token_hex(8)}.tmp")
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(self._page.head())
                self._cards.seek(0)
                while piece := self._cards.read(1 << 20):
                    file.write(piece)
                file.write(self._page.foot())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def write(path: Path, pairs: Iterable[tuple[Record, View | None]], **options: Any) -> None:
    """Write a report of records and their pictures, one pair in memory at a time.

    Args:
        path: the HTML file.
        pairs: each record with its pictures, ``None`` where it has none.
        options: of :class:`Report`.
    """
    with Report(path, **options) as report:
        for record, view in pairs:
            report.add(record, view)


def html(pairs: Iterable[tuple[Record, View | None]], **options: Any) -> str:
    """The report as a string; for a few records."""
    page = _Page(
        options.pop("title", "Counterveil report"),
        options.pop("pictures", PICTURES),
        options.pop("created", None),
    )
    cards = StringIO()
    for record, view in pairs:
        cards.write(page.card(record, view))
    return page.head() + cards.getvalue() + page.foot()


class _Page:
    """Renders the parts of a page and counts what went into it."""

    def __init__(self, title: str, pictures: int, created: str | None) -> None:
        self._title = title
        self._pictures = pictures
        self._created = created
        self._counts: Counter[str] = Counter()
        self._profiles: dict[str, None] = {}
        self._models: dict[tuple[str, str, str], None] = {}
        self._total = 0

    def card(self, record: Record, view: View | None) -> str:
        self._total += 1
        self._counts.update(filters(record))
        self._profiles.setdefault(record.profile)
        for model in record.models:
            self._models.setdefault((model.name, model.version, model.sha256))
        if view is not None:
            self._pictures -= 1
        shown_view = view if self._pictures >= 0 else None
        return _render("card.html", card=card(record, shown_view, self._total))

    def head(self) -> str:
        style = _source("style.css")
        digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
        return _render(
            "head.html",
            title=self._title,
            style=Markup(style),  # our own file, not a record's
            policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'",
            total=self._total,
            counts=self._counts,
            filters=_FILTERS,
            warnings=[_PROFILES[name] for name in self._profiles if name in _PROFILES],
        )

    def foot(self) -> str:
        return _render(
            "foot.html",
            created=self._created or utc_now(),
            version=__version__,
            profiles=list(self._profiles),
            models=list(self._models),
        )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("counterveil", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    """Applied to everything a template prints, before it is escaped."""
    return shown(value) if type(value) is str else value


def _render(name: str, **values: Any) -> str:
    text: str = _environment().get_template(name).render(**values)
    return text


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    text: str = environment.loader.get_source(environment, name)[0]
    return text
