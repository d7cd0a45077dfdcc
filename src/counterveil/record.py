"""What was done to one image, as a value that can be written, checked and hashed.

A record holds no pixel of the image and nothing that could restore one. Its JSON form is fixed
by a schema that ships with the package (:func:`schema`) and carries a version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from counterveil._plain import build, canonical, plain
from counterveil._schema import schema, validate
from counterveil.errors import UsageError
from counterveil.types import ModelInfo, Outcome, SearchResult

__all__ = [
    "SCHEMA_VERSION",
    "Answer",
    "CategoryResult",
    "CounterfactualResult",
    "Output",
    "Outputs",
    "Rationale",
    "Record",
    "Source",
    "Status",
    "VeiledOutput",
    "schema",
    "utc_now",
    "validate",
]

SCHEMA_VERSION = "1.1"

Status = Literal["ok", "error", "partial"]


@dataclass(frozen=True)
class Source:
    """The file that was examined.

    Attributes:
        name: as the user gave it, below the folder asked for.
        sha256: of the file's bytes; empty when they could not be read.
        width: pixels, orientation applied; 0 when the file could not be decoded.
        height: pixels; 0 when the file could not be decoded.
        format: the codec's name; empty when unknown.
        frames: how many frames the file holds.
        frames_assessed: indices, from 0, of the frames that were looked at.
        frame: index, from 0, of the frame that is released.
        notes: what decoding changed, in plain words.
    """

    name: str
    sha256: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    frames: int = 1
    frames_assessed: tuple[int, ...] = ()
    frame: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CounterfactualResult:
    """How one flagged category was veiled.

    Attributes:
        outcome: as in :class:`counterveil.types.SearchResult`.
        depth: regions on the prefix at which the decision first flipped.
        regions_total: regions of the partition.
        regions_veiled: how many of them are veiled.
        area_fraction: veiled part of the image, in ``[0, 1]``.
        completed_fraction: the part of it that the decision does not need: the rest of the
            objects on which the needed part lies.
        score_before: P(unsafe) of the released frame as it came.
        score_after: P(unsafe) of the written file, from its own bytes.
        target: the score that the search had to stay below.
        verified: ``score_after`` is below the category's threshold.
        irreducible: of what the decision needs, no part can be given back without the score
            reaching the target.
        evaluations: images scored: the search's, within its budget, and those of an attribution that
            scores, such as occlusion.
        attribution: name of the attribution map; empty where none was needed.
        segmentation: name of the partition.
        search: name of the search.
        fill: name of the veil.
        answered_fraction: the part that is veiled for a reasoner's answers alone: neither the
            decision nor the objects need it.
    """

    outcome: Outcome
    score_before: float
    score_after: float
    target: float
    depth: int = 0
    regions_total: int = 0
    regions_veiled: int = 0
    area_fraction: float = 0.0
    completed_fraction: float = 0.0
    verified: bool = False
    irreducible: bool = False
    evaluations: int = 0
    attribution: str = ""
    segmentation: str = ""
    search: str = ""
    fill: str = ""
    answered_fraction: float = 0.0

    @classmethod
    def of(
        cls,
        found: SearchResult,
        *,
        score_after: float,
        verified: bool,
        attribution: str,
        segmentation: str,
        search: str,
        fill: str,
    ) -> CounterfactualResult:
        """The record of a search's result, with the score of the written file's own bytes."""
        return cls(
            outcome=found.outcome,
            score_before=float(found.score_before),
            score_after=float(score_after),
            target=float(found.target),
            depth=int(found.depth),
            regions_total=int(found.regions_total),
            regions_veiled=len(found.regions),
            area_fraction=found.area_fraction,
            verified=bool(verified),
            irreducible=bool(found.irreducible),
            evaluations=int(found.evaluations),
            attribution=attribution,
            segmentation=segmentation,
            search=search,
            fill=fill,
        )

    @classmethod
    def not_needed(cls, score: float, *, target: float) -> CounterfactualResult:
        """The result for a category that did not flag the image."""
        return cls("not_needed", score, score, target, verified=True, irreducible=True)


@dataclass(frozen=True)
class CategoryResult:
    """What one category said.

    Attributes:
        key: the category's.
        score: P(unsafe), in ``[0, 1]``; the worst of all frames assessed.
        threshold: from which score the image is flagged.
        flagged: ``score >= threshold``.
        counterfactual: how it was veiled.
        title: the category's, for people; empty: the key serves.
        classifier: name of the model that scored, one of the record's ``models``.
        frame: index, from 0, of the frame that scored it; where it is not the released one, the
            counterfactual is still about the released one.
    """

    key: str
    score: float
    threshold: float
    flagged: bool
    counterfactual: CounterfactualResult
    title: str = ""
    classifier: str = ""
    frame: int = 0


@dataclass(frozen=True)
class Answer:
    """One moderator question answered.

    Attributes:
        category: key of the category that asks.
        question: as asked.
        answer: the model's sentence; empty where it gave none.
        p_yes: probability of yes, in ``[0, 1]``; ``None``: not assessed, neither yes nor no.
        p_yes_veiled: the same of the veiled image; ``None`` where it was not asked or assessed.
        grounded: yes before and no after: the answer rests on what is veiled.
        reason: why it was not assessed.
    """

    category: str
    question: str
    answer: str
    p_yes: float | None
    p_yes_veiled: float | None = None
    grounded: bool = False
    reason: str = ""

    @property
    def yes(self) -> bool:
        """More likely yes than no."""
        return self.p_yes is not None and self.p_yes >= 0.5


@dataclass(frozen=True)
class Rationale:
    """Why the image was flagged, in words.

    Attributes:
        text: for a moderator, made from the record's fields around the model's words.
        description: the model's own words on the image; empty where it gave none.
        answers: to the moderator's questions.
        control: guidance of each category, in ``[0, 1]``, that the words were conditioned on.
        model: name of the model that wrote them.
        statement: of reasons, for the person who posted the image; empty: nothing was flagged.
    """

    text: str
    description: str = ""
    answers: tuple[Answer, ...] = ()
    control: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    statement: str = ""


@dataclass(frozen=True)
class Output:
    """One file that was written: its name, without folders, and the hash of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class VeiledOutput(Output):
    """The veiled image.

    Attributes:
        fill: name of the veil.
        reversible_risk: the veil hides from the eye, but something of what lies under it
            might be computed back (blur, pixelation).
    """

    fill: str
    reversible_risk: bool = False


@dataclass(frozen=True)
class Outputs:
    """What was written: the veiled image and its mask (8-bit, 255 = veiled)."""

    veiled: VeiledOutput
    mask: Output


@dataclass(frozen=True)
class Record:
    """Everything that is told about one examined image.

    Attributes:
        status: ``ok``; ``partial`` when something was not judged (frames of an animation, a
            category); ``error`` when nothing was.
        profile: name of the profile.
        source: the file.
        created: UTC, ISO 8601, such as ``2025-01-31T12:00:00Z``.
        error: what went wrong, one plain sentence; ``None`` when nothing did.
        categories: what each category said.
        rationale: why, in words; ``None`` when no reasoner was asked.
        outputs: files written; ``None`` when none were.
        whole_image_veiled: no counterfactual was found, so nothing of the image is shown.
        models: every model that spoke.
        timing_ms: wall-clock milliseconds of each stage.
        warnings: what a reader must know, in plain sentences.
    """

    status: Status
    profile: str
    source: Source
    created: str
    error: str | None = None
    categories: tuple[CategoryResult, ...] = ()
    rationale: Rationale | None = None
    outputs: Outputs | None = None
    whole_image_veiled: bool = False
    models: tuple[ModelInfo, ...] = ()
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    schema_version: str = SCHEMA_VERSION

    @classmethod
    def failed(
        cls, source: Source, error: BaseException | str, *, profile: str, created: str | None = None
    ) -> Record:
        """The record of an input that could not be examined."""
        message = " ".join(str(error).split()) or type(error).__name__
        return cls("error", profile, source, created or utc_now(), error=message)

    @property
    def flagged(self) -> tuple[CategoryResult, ...]:
        """The categories that flagged the image."""
        return tuple(category for category in self.categories if category.flagged)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers, keys in the schema's order."""
        values = plain(self)
        return {key: values[key] for key in schema()["properties"]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Record:
        """The record that :meth:`to_dict` gave; one of an earlier version becomes one of this.

        Raises:
            UsageError: it does not follow the schema; the message names the place.
        """
        validate(value)
        record: Record = build(cls, _current(value))
        return record

    def to_json(self) -> str:
        """One line of ASCII JSON, keys in a stable order.

        Raises:
            UsageError: a number is not finite.
        """
        try:
            return json.dumps(self.to_dict(), allow_nan=False)
        except ValueError as error:
            raise UsageError("a record cannot hold NaN or infinity") from error

    def digest(self) -> str:
        """SHA-256, hex, of the record's canonical JSON (RFC 8785).

        Equal records have equal digests, whatever program wrote and read them in between.
        """
        return hashlib.sha256(canonical(self.to_dict())).hexdigest()


def _current(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record of any version in the form of this one."""
    frame = {} if value["schema_version"] != "1.0" else {"frame": value["source"]["frame"]}
    categories = [{**category, **frame} for category in value["categories"]]
    return {**value, "categories": categories, "schema_version": SCHEMA_VERSION}


def utc_now() -> str:
    """The present moment, as records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
