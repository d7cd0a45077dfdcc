"""Which image stands on which page: a page ends at a number of images or of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import IO

from counterveil.report.cards import Card, Entry
from counterveil.report.render import render, render_card, render_settings

MAX_IMAGES = 200
"""Most images on a page."""

MAX_BYTES = 2_000_000
"""Largest page, in bytes."""

_FRAME_BYTES = 60_000
"""Kept free on each page for its head and foot."""


@dataclass
class Page:
    """One page of cards.

    Attributes:
        number: from 1.
        first: number of its first image, from 1.
        start: where its cards start in the file of all cards, in bytes.
        images: number of its images.
        card_bytes: length of its cards.
        settings: by id, the sections on models and settings that its cards refer to.
    """

    number: int
    first: int
    start: int
    images: int = 0
    card_bytes: int = 0
    settings: dict[str, bytes] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Path below the folder of results."""
        return "report.html" if self.number == 1 else f"report/page-{self.number}.html"

    @property
    def last(self) -> int:
        """Number of its last image."""
        return self.first + self.images - 1

    def fits(self, card: bytes, section: str, settings: bytes) -> bool:
        """Whether one more card, and its section if that is new, leave the page small enough."""
        if not self.images:
            return True
        new = 0 if section in self.settings else len(settings)
        used = _FRAME_BYTES + self.card_bytes + sum(map(len, self.settings.values()))
        return self.images < MAX_IMAGES and used + new + len(card) <= MAX_BYTES


@dataclass(frozen=True)
class ListPage:
    """One page of the list of all images.

    Attributes:
        number: from 1.
        rows: by outcome key, the lines of the images; the worst outcome first.
        first: number of its first image, from 1.
        last: number of its last image.
    """

    number: int
    rows: dict[str, list[bytes]]
    first: int
    last: int

    @property
    def path(self) -> str:
        """Path below the folder of results."""
        return list_path(self.number)


def list_path(number: int) -> str:
    """Path of a page of the list, below the folder of results."""
    return "report/list.html" if number == 1 else f"report/list-{number}.html"


def relative(path: str, origin: str) -> str:
    """Address of one file of the report as another one links to it; both below the folder."""
    if "/" not in origin:
        return path
    return path.removeprefix("report/") if "/" in path else f"../{path}"


def lay_out(cards: Iterable[Card], bodies: IO[bytes]) -> list[Page]:
    """Write all cards, one after the other, and find where each page starts; at least one page.

    Args:
        cards: in the order of the report.
        bodies: empty file.
    """
    page = Page(1, 1, 0)
    pages = [page]
    for number, card in enumerate(cards, 1):
        section, settings = render_settings(card.record)
        body = _body(card, number, page, section)
        if not page.fits(body, section, settings):
            page = Page(page.number + 1, number, page.start + page.card_bytes)
            pages.append(page)
            body = _body(card, number, page, section)  # its links start elsewhere
        bodies.write(body)
        page.images += 1
        page.card_bytes += len(body)
        page.settings[section] = settings
    return pages


def _body(card: Card, number: int, page: Page, section: str) -> bytes:
    root = "../" if "/" in page.path else "./"
    return render_card(card, number=number, root=root, settings_id=section)


def lay_out_list(entries: Sequence[Entry], pages: Sequence[Page]) -> list[ListPage]:
    """Pages of the list of all images, as small as the others; at least one."""
    lists: list[ListPage] = []
    rows: dict[str, list[bytes]] = {}
    used, first = _FRAME_BYTES, 1
    for number, (entry, page) in enumerate(zip(entries, _page_of_each(pages), strict=True), 1):
        href = f"{relative(page.path, list_path(1))}#i{number}"
        row = render("row.html", entry=entry, href=href)
        if used + len(row) > MAX_BYTES:
            lists.append(ListPage(len(lists) + 1, rows, first, number - 1))
            rows, used, first = {}, _FRAME_BYTES, number
        rows.setdefault(entry.outcome, []).append(row)
        used += len(row)
    return [*lists, ListPage(len(lists) + 1, rows, first, len(entries))]


def _page_of_each(pages: Sequence[Page]) -> Iterator[Page]:
    for page in pages:
        yield from repeat(page, page.images)
