"""Templates of the report: everything they print is escaped, made visible and kept short."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from counterveil.narrative import disagreements, phrases, summary, texts
from counterveil.outcomes import outcome
from counterveil.record import Answer, CategoryResult, Record
from counterveil.report.cards import Card
from counterveil.report.pictures import View

_MAX_DETAILED = 100_000
"""Largest card with all details, in bytes; one that is larger leaves them to the record."""

_MAX_TEXT = 4000
"""Longest printed value, in characters: file names, answers and errors come from strangers."""
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of characters that do not show, or that change how others show."""
_ICONS: Mapping[str, str] = {
    "not_verified": "⚠", "not_assessed": "?", "failed": "✕", "disputed": "≠", "partial": "◐",
    "veiled_whole": "■", "left_out": "◇", "veiled": "▣", "clean": "✓",
}  # fmt: skip


@dataclass(frozen=True)
class _Picture:
    """An embedded picture: data URI, CSS class, label and alternative text."""

    uri: Markup
    key: str
    label: str
    alt: str


def render(template: str, **values: Any) -> bytes:
    """The filled template, in UTF-8."""
    text: str = _environment().get_template(template).render(**values)
    return text.encode()


def render_card(card: Card, *, number: int, root: str, settings_id: str) -> bytes:
    """The card of one image, never longer than a small part of a page.

    Args:
        card: what to show.
        number: its place in the report, from 1.
        root: relative address of the folder of results, such as ``../``.
        settings_id: id of the page's section with the models and settings that were used.
    """
    shown, others = _split_scores(card.record)
    values: dict[str, Any] = {
        "record": card.record,
        "outcome": outcome(card.record),
        "number": number,
        "root": root,
        "settings_id": settings_id,
        "pictures": [] if card.view is None else _pictures(card.record, card.view),
        "answers": _sorted_answers(card.record),
    }
    html = render("card.html", **values, shown=shown, others=others, brief=False)
    if len(html) <= _MAX_DETAILED:
        return html
    return render("card.html", **values, shown=shown[:8], others=[], brief=True)


def render_settings(record: Record) -> tuple[str, bytes]:
    """The section with the profile, models and settings of a record, and its id.

    Many records of a run share it, so that a page shows it once.
    """
    names = ("profile", "models", "settings")
    key = repr([getattr(record, name) for name in names])
    section = "s" + hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    html = render("settings.html", id=section, record=record, brief=False)
    if len(html) > _MAX_DETAILED:
        html = render("settings.html", id=section, record=record, brief=True)
    return section, html


def source(name: str) -> str:
    """Text of a file beside the templates."""
    environment = _environment()
    assert environment.loader is not None
    text: str = environment.loader.get_source(environment, name)[0]
    return text.replace("\r\n", "\n")  # as browsers read it, so that its hash is that of the policy


def content_policy() -> str:
    """Content-Security-Policy of every page: its own style and script, and embedded pictures."""
    return (
        "default-src 'none'; img-src data:; "
        f"style-src '{_digest('style.css')}'; script-src '{_digest('script.js')}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(name: str) -> str:
    digest = hashlib.sha256(source(name).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _split_scores(record: Record) -> tuple[list[CategoryResult], list[CategoryResult]]:
    """Scores that a reader must see, and the others; of a clean image, the closest is shown."""
    by_margin = sorted(record.categories, key=lambda c: c.threshold - c.score)
    shown = [c for c in by_margin if c.flagged or not c.counterfactual.verified] or by_margin[:1]
    return shown, [c for c in by_margin if c not in shown]


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


def _data_uri(data: bytes) -> Markup:
    format = "png" if data.startswith(b"\x89PNG") else "webp"
    # Safe, and not to be cut: base64 holds no character that means something in HTML.
    return Markup(f"data:image/{format};base64,{base64.b64encode(data).decode('ascii')}")


def _sorted_answers(record: Record) -> list[Answer]:
    """Answers with yes first, then those that were not assessed."""
    order = ("yes", "not_assessed", "no")
    answers = record.rationale.answers if record.rationale else ()
    return sorted(answers, key=lambda answer: order.index(phrases.answer_status(answer)))


def _file_link(name: str, root: str) -> Markup:
    # A root such as "./" keeps a name such as "javascript:x.png" a name; quote keeps any byte of
    # it one, and leaves nothing that means something in HTML.
    return Markup(root + quote(name.encode("utf-8", "surrogateescape")))


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
        finalize=_printed,  # applied to every printed value, before it is escaped
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": phrases.percent,
        "count": lambda number: f"{number:,}",
        "json": lambda value: json.dumps(value, ensure_ascii=False, default=str),
        "ended": phrases.end_sentence,
    }
    environment.globals |= {
        "texts": texts,
        "phrases": phrases,
        "summary": summary,
        "disagreements": disagreements,
        "icons": _ICONS,
        "file_link": _file_link,
        "milliseconds": _milliseconds,
    }
    return environment


def _printed(value: Any) -> Any:
    """Cut long text and escape invisible characters: a file name must not turn or hide others."""
    if type(value) is not str:
        return value
    if len(value) > _MAX_TEXT:
        value = f"{value[:_MAX_TEXT]} … (cut here; the record holds all of it)"
    if value.isprintable():
        return value
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if unicodedata.category(letter) in _INVISIBLE
        else letter
        for letter in value
    )
