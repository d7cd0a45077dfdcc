"""A record -> the plain values that its card shows. Escaping is the page's."""

from __future__ import annotations

import base64
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

from counterveil.narrative import percent, public, title
from counterveil.record import Answer, CategoryResult, Output, Record
from counterveil.report import words
from counterveil.report.view import View

_BADGES = {
    "error": "Error",
    "unverified": "Not verified",
    "not_found": "Whole image veiled",
    "veiled": "Verified",
    "clear": "Not flagged",
}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of characters that do not show, or change how others show."""


@dataclass(frozen=True)
class Bar:
    """One category's scores, positions in percent of the bar's length."""

    title: str
    before: str
    after: str | None
    threshold: str
    x_before: float
    x_after: float
    x_threshold: float
    flagged: bool
    verified: bool


@dataclass(frozen=True)
class File:
    """A written file: what it is, its name, a link to it, its hash."""

    what: str
    name: str
    href: str
    sha256: str


@dataclass(frozen=True)
class Picture:
    """An embedded picture and what it is called."""

    uri: str
    key: str
    label: str
    alt: str


@dataclass(frozen=True)
class AnswerRow:
    """One moderator question; probabilities as they are shown."""

    question: str
    text: str
    before: str
    after: str
    rests: str
    state: str


@dataclass(frozen=True)
class Card:
    """Everything that the template of a card reads.

    Attributes:
        number: its place in the report, from 1.
        state: as :func:`counterveil.report.words.state`.
        filters: names of the filters that show it.
        base: the veiled picture; ``None`` where there is none, or it was left out.
        overlays: what can be laid over it.
        answers: to the moderator's questions: yes first, then what was not assessed.
        left_out: the veiled picture exists and was left out of the page.
        milliseconds: that the whole examination took.
        reasoner: who wrote the rationale; empty without one.
        record: for the fields that are shown as they are.
    """

    number: int
    name: str
    state: str
    badge: str
    headline: str
    filters: tuple[str, ...]
    sentences: tuple[str, ...]
    bars: tuple[Bar, ...]
    base: Picture | None
    overlays: tuple[Picture, ...]
    files: tuple[File, ...]
    answers: tuple[AnswerRow, ...]
    left_out: bool
    milliseconds: float
    reasoner: str
    record: Record


def card(record: Record, view: View | None, number: int) -> Card:
    """The card of one record.

    Args:
        record: what was done.
        view: its pictures, where there are any.
        number: its place in the report, from 1.
    """
    state = words.state(record)
    name = record.source.name
    return Card(
        number=number,
        name=name,
        state=state,
        badge=_BADGES[state],
        headline=words.headline(record),
        filters=filters(record),
        sentences=words.sentences(record),
        bars=tuple(map(_bar, record.categories)),
        base=None if view is None else _base(view, name, record),
        overlays=() if view is None else _overlays(view, record),
        files=_files(record),
        answers=_answers(record),
        left_out=view is None and record.outputs is not None,
        milliseconds=_milliseconds(record),
        reasoner=public(record.rationale.model) if record.rationale else "",
        record=record,
    )


def filters(record: Record) -> tuple[str, ...]:
    """Which filters show a record, beside the one that shows all."""
    state = words.state(record)
    held = {
        "flagged": bool(record.flagged),
        "veiled": state == "veiled",
        "not_found": record.whole_image_veiled,
        "unverified": state == "unverified",
        "clear": state == "clear",
        "errors": state == "error",
        "partial": record.status == "partial",
    }
    return tuple(key for key, holds in held.items() if holds)


def shown(text: str) -> str:
    """Text with what does not show made visible: a name must not turn or hide what follows."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def _milliseconds(record: Record) -> float:
    """The total holds the stages; records that know no total have the stages alone."""
    spent = record.timing_ms
    return spent["total"] if "total" in spent else sum(spent.values())


def _bar(category: CategoryResult) -> Bar:
    result = category.counterfactual
    return Bar(
        title=title(category),
        before=percent(category.score),
        after=percent(result.score_after) if category.flagged else None,
        threshold=percent(category.threshold),
        x_before=round(100 * category.score, 2),
        x_after=round(100 * result.score_after, 2),
        x_threshold=round(100 * category.threshold, 2),
        flagged=category.flagged,
        verified=result.verified,
    )


def _answers(record: Record) -> tuple[AnswerRow, ...]:
    if record.rationale is None:
        return ()
    order = {"yes": 0, "missed": 1, "no": 2}
    veiled = bool(record.flagged)
    rows = [_answer(answer, veiled=veiled) for answer in record.rationale.answers]
    return tuple(sorted(rows, key=lambda row: order[row.state]))


def _answer(answer: Answer, *, veiled: bool) -> AnswerRow:
    after = "" if answer.p_yes_veiled is None else percent(answer.p_yes_veiled)
    if answer.p_yes is None:
        reason = f"not assessed: {answer.reason or 'no reason was given'}"
        return AnswerRow(answer.question, reason, "", after, "", "missed")
    rests = ""
    if answer.grounded:
        rests = "what is veiled"
    elif after:
        rests = "what is still in sight"
    elif answer.yes and veiled:
        rests = "not assessed"
    state = "yes" if answer.yes else "no"
    return AnswerRow(answer.question, answer.answer, percent(answer.p_yes), after, rests, state)


def _base(view: View, name: str, record: Record) -> Picture:
    if record.whole_image_veiled:
        alt = f"{name}, veiled as a whole: nothing of it is shown"
    elif record.flagged:
        alt = f"{name} with its unsafe regions veiled"
    else:
        alt = f"{name}, no region veiled"
    return Picture(_uri(view.veiled), "veiled", "Veiled", alt)


def _overlays(view: View, record: Record) -> tuple[Picture, ...]:
    area = max((c.counterfactual.area_fraction for c in record.flagged), default=0.0)
    total = max((c.counterfactual.regions_total for c in record.flagged), default=0)
    overlays = (
        ("heat", "Heat map", "where the classifier looked, on a coarse grid", view.attribution_map),
        ("regions", "Regions", f"boundaries of {total} regions outside the veil", view.regions),
        ("mask", "Mask", f"the veil, {percent(area)} of the image", view.mask),
    )
    return tuple(Picture(_uri(data), key, label, alt) for key, label, alt, data in overlays if data)


def _uri(data: bytes) -> str:
    kind = "png" if data.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _files(record: Record) -> tuple[File, ...]:
    if record.outputs is None:
        return ()
    outputs = record.outputs
    return _file("Veiled image", outputs.veiled), _file("Mask", outputs.mask)


def _file(what: str, output: Output) -> File:
    # "./" keeps a name such as "javascript:x.png" a name; quote keeps any byte of it one.
    href = "./" + quote(output.name.encode("utf-8", "surrogateescape"))
    return File(what, output.name, href, output.sha256)
