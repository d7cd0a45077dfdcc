"""The report of a folder of results: pages of cards, the worst first, and a list to search."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from counterveil import __version__
from counterveil.atomic import write_atomic
from counterveil.narrative import texts
from counterveil.outcomes import OUTCOMES, Outcome
from counterveil.record import Record, utc_now
from counterveil.report.cards import Card, CardFile, Entry
from counterveil.report.layout import ListPage, Page, lay_out, lay_out_list, list_path, relative
from counterveil.report.pictures import View
from counterveil.report.render import content_policy, render, source

_WINDOW = 2
"""Pages that are linked on either side of the open one, beside the first and the last."""


class Report:
    """The report of a folder of results.

    Cards are kept on disk as they come, in ``report/cards.jsonl``, so that an interrupted run
    keeps them; the pages are written at the end. Memory holds one short entry for each image.

    Args:
        folder: of the results.
        title: of the report.
        created: time as records write it; default: when the pages are written.
    """

    def __init__(
        self, folder: Path, *, title: str = "Counterveil report", created: str | None = None
    ) -> None:
        self._folder = Path(folder)
        self._below = self._folder / "report"
        self._cards = CardFile(self._below / "cards.jsonl")
        self._title = title
        self._created = created

    def add(self, record: Record, view: View | None = None) -> None:
        """Append one card, in one line. Of several under one ``output_name``, the last counts.

        Args:
            record: of the image.
            view: its pictures; ``None`` if nothing was released.

        Raises:
            OSError: it cannot be written; the cards before it stay whole.
        """
        self._cards.append(Card(record, view))

    def names(self) -> set[str]:
        """Output names of the images that have a card."""
        return {entry.output_name for entry in self._cards.entries()}

    def clear(self) -> None:
        """Remove all cards and pages.

        Raises:
            OSError: something cannot be removed.
        """
        (self._folder / "report.html").unlink(missing_ok=True)
        self._cards.path.unlink(missing_ok=True)
        self._remove_pages(keep=())

    def write(self, output_names: Iterable[str] | None = None) -> Path:
        """Write all pages; ``report.html``, the first of them, last.

        Args:
            output_names: images to show; default: all that have a card.

        Returns:
            Path of ``report.html``.

        Raises:
            OSError: a page cannot be written.
        """
        entries = self._entries(None if output_names is None else set(output_names))
        first = self._folder / "report.html"
        first.unlink(missing_ok=True)  # while it is missing, the report is not finished
        self._below.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._below) as bodies:
            pages = lay_out(self._cards.cards(entries), bodies)
            lists = lay_out_list(entries, pages)
            self._remove_pages(keep=[*(p.path for p in pages), *(p.path for p in lists)])
            frame = _Frame(self._title, self._created or utc_now(), entries, pages, lists)
            for listed in lists:
                write_atomic(self._folder / listed.path, frame.list_page(listed))
            for page in reversed(pages):
                bodies.seek(page.start)
                cards = bodies.read(page.card_bytes)
                write_atomic(self._folder / page.path, frame.page(page, cards))
        return first

    def _entries(self, wanted: set[str] | None) -> list[Entry]:
        last = {entry.output_name: entry for entry in self._cards.entries()}
        kept = (e for name, e in last.items() if wanted is None or name in wanted)
        return sorted(kept, key=lambda entry: entry.order)

    def _remove_pages(self, keep: Iterable[str]) -> None:
        kept = {self._folder / path for path in keep}
        for pattern in ("page-*.html", "list*.html"):
            for path in self._below.glob(pattern):
                if path not in kept:
                    path.unlink()


class _Frame:
    """What stands around the cards of a page: counts, links, the search, models and settings."""

    def __init__(
        self,
        title: str,
        created: str,
        entries: Sequence[Entry],
        pages: Sequence[Page],
        lists: Sequence[ListPage],
    ) -> None:
        self._pages, self._lists = pages, lists
        counts = Counter(entry.outcome for entry in entries)
        profiles = {entry.profile for entry in entries}
        gaps = sorted({entry.not_covered for entry in entries} - {""})
        # Outcomes stand one behind the other, so each starts where those before it end.
        self._outcomes: list[tuple[Outcome, int, str]] = []
        number = 1
        for key, count in ((key, counts[key]) for key in OUTCOMES if counts[key]):
            page = next(page for page in pages if page.first <= number <= page.last)
            self._outcomes.append((OUTCOMES[key], count, f"{page.path}#i{number}"))
            number += count
        self._values = {
            "title": title,
            "created": created,
            "version": __version__,
            # Safe: files of this package, not of a record.
            "style": Markup(source("style.css")),
            "script": Markup(source("script.js")),
            "policy": content_policy(),
            "total": len(entries),
            "counts": counts,
            "flagged": sum(entry.flagged for entry in entries),
            "notices": [
                *(n for name, n in texts.PROFILE_NOTICES.items() if name in profiles),
                *(f"Not assessed in any image: {gap}." for gap in gaps),
            ],
            "all_outcomes": OUTCOMES,
        }

    def page(self, page: Page, cards: bytes) -> bytes:
        """One page of cards."""
        head = self._render(
            "head.html", page.path, self._pages, page.number, first=page.first, last=page.last
        )
        foot = self._render(
            "foot.html", page.path, self._pages, page.number,
            sections=[Markup(section.decode()) for section in page.settings.values()],
        )  # fmt: skip
        return head + cards + foot

    def list_page(self, page: ListPage) -> bytes:
        """One page of the list."""
        # Safe: each row was rendered, so escaped.
        rows = {key: Markup(b"".join(each).decode()) for key, each in page.rows.items()}
        following = list_path(page.number + 1) if page.number < len(self._lists) else None
        return self._render(
            "list.html", page.path, self._lists, page.number, first=page.first, last=page.last,
            rows=rows, following=following and relative(following, page.path),
        )  # fmt: skip

    def _render(
        self,
        template: str,
        path: str,
        siblings: Sequence[Page] | Sequence[ListPage],
        number: int,
        **values: Any,
    ) -> bytes:
        links = {each.number: relative(each.path, path) for each in siblings}
        return render(
            template,
            **self._values,
            **values,
            number=number,
            pages=len(siblings),
            pager=[
                (n, links[n]) for n in links if n in (1, len(links)) or abs(n - number) <= _WINDOW
            ],
            before=links.get(number - 1),
            after=links.get(number + 1),
            outcomes=[(each, count, relative(to, path)) for each, count, to in self._outcomes],
            list_link=relative(list_path(1), path),
            first_link=relative("report.html", path),
        )
