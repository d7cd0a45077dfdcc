"""Record of one examined image: a value that can be written, validated and hashed.

A record holds no pixel of the image and nothing that could restore one. A JSON Schema that ships
with the package (:func:`schema`) fixes its JSON form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from counterveil.errors import UsageError
from counterveil.serialization import canonical_json, from_plain, schema, to_plain, validate
from counterveil.types import ModelInfo, SearchOutcome

__all__ = ["SCHEMA_VERSION", "Answer", "CategoryResult", "CounterfactualResult", "Disagreement",
           "Judgement", "Output", "Outputs", "Rationale", "Record", "Source", "Status",
           "VeiledOutput", "schema", "utc_now", "validate"]  # fmt: skip

SCHEMA_VERSION = "1.1"

Status = Literal["ok", "partial", "disputed", "not_verified", "not_assessed", "error"]


@dataclass(frozen=True)
class Source:
    """The file that was examined.

    Attributes:
        name: path below the folder that the user named.
        sha256: of the file's bytes; empty if they could not be read.
        width: in pixels, orientation applied; 0 if the file could not be decoded.
        height: in pixels; 0 if the file could not be decoded.
        format: name of the codec; empty if unknown.
        frames: number of frames in the file.
        frames_assessed: indices, from 0, of the frames that were scored.
        frame: index, from 0, of the released frame.
        notes: sentences on what decoding changed.
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
class Judgement:
    """What a classifier that took no part in the search says of the veil.

    Attributes:
        judge: name of the model.
        score_before: P(unsafe) of the released frame before the veil.
        score_after: P(unsafe) of the written file, decoded from its bytes.
        threshold: the judge says unsafe from this score on.
    """

    judge: str
    score_before: float
    score_after: float
    threshold: float

    @property
    def disputes(self) -> bool:
        """The judge says unsafe before the veil and after it."""
        return min(self.score_before, self.score_after) >= self.threshold


@dataclass(frozen=True)
class CounterfactualResult:
    """How one category was veiled.

    Attributes:
        outcome: as in :class:`counterveil.types.SearchResult`.
        depth: number of regions on the prefix at which the decision first flipped.
        regions_total: number of regions in the segmentation.
        regions_veiled: number of regions in the set that the search found. The veil also covers
            what completes objects, and the regions of other categories.
        area_fraction: veiled part of the image, in ``[0, 1]``.
        completed_fraction: part of the image that is veiled only to complete objects.
        score_before: P(unsafe) of the released frame before the veil.
        score_after: P(unsafe) of the written file, decoded from its bytes.
        target: the search had to bring the score below it.
        verified: ``score_after`` is below the category's threshold.
        irreducible: no part of what the decision needs can be given back; proven by trying.
        evaluations: images scored, by the search and by an attribution that scores.
        attribution: name of the attribution method; empty if none was needed.
        segmentation: name of the segmentation.
        search: name of the search.
        fill: name of the fill.
        answered_fraction: part of the image that is veiled only for the reasoner's answers.
        judged_fraction: part of the image that is veiled only because a judge disputed less.
        judgements: of the classifiers that took no part in the search.
    """

    outcome: SearchOutcome
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
    judged_fraction: float = 0.0
    judgements: tuple[Judgement, ...] = ()

    @property
    def disputed(self) -> bool:
        """A judge says that the veil does not hide what is unsafe."""
        return any(judgement.disputes for judgement in self.judgements)

    @classmethod
    def not_needed(cls, score: float, *, target: float) -> CounterfactualResult:
        """Result of a category that did not flag the image."""
        return cls("not_needed", score, score, target, verified=True, irreducible=True)


@dataclass(frozen=True)
class CategoryResult:
    """Result of one category.

    Attributes:
        key: of the category.
        score: P(unsafe), in ``[0, 1]``; the highest of all assessed frames.
        threshold: the image is flagged from this score on.
        flagged: ``score >= threshold``.
        counterfactual: how the released frame was veiled for it.
        title: of the category, for people; empty: the key is shown.
        classifier: name of the model that scored; one of the record's ``models``.
        frame: index, from 0, of the frame with the highest score. The counterfactual is always
            about the released frame.
        view: view with the highest score, such as ``"on black"`` or ``"EXIF thumbnail"``; empty:
            the plain one.
    """

    key: str
    score: float
    threshold: float
    flagged: bool
    counterfactual: CounterfactualResult
    title: str = ""
    classifier: str = ""
    frame: int = 0
    view: str = ""


@dataclass(frozen=True)
class Answer:
    """One moderator question answered.

    Attributes:
        category: key of the question's category.
        question: text of the question.
        answer: the model's sentence; empty if it gave none.
        p_yes: probability of yes, in ``[0, 1]``; ``None``: not assessed, neither yes nor no.
        p_yes_veiled: the same for the veiled image; ``None``: not asked, or not assessed.
        grounded: yes before the veil and no after it, so the answer rests on what is veiled.
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
class Disagreement:
    """A category on which the classifier and the reasoner disagree.

    Attributes:
        category: its key.
        flagged: the classifier flagged the released frame, which the reasoner saw, and every
            answer is no; ``False``: it did not, and some answer is yes.
        yes: number of questions answered yes.
        assessed: number of questions with an answer, 1 or more.
    """

    category: str
    flagged: bool
    yes: int
    assessed: int


@dataclass(frozen=True)
class Rationale:
    """Why the image was flagged, in words.

    Attributes:
        text: for a moderator: the record's facts and the model's words.
        description: the model's description of the image; empty if it gave none.
        answers: to the moderator's questions.
        control: strength of the conditioning, in ``[0, 1]``, by category key.
        model: name of the model.
        statement: statement of reasons for the person who posted the image; empty if nothing was
            flagged.
        disagreements: categories on which the classifier and the reasoner disagree.
        description_reason: why there is no description.
    """

    text: str
    description: str = ""
    answers: tuple[Answer, ...] = ()
    control: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    statement: str = ""
    disagreements: tuple[Disagreement, ...] = ()
    description_reason: str = ""


@dataclass(frozen=True)
class Output:
    """A written file: its name without folders, and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class VeiledOutput(Output):
    """The veiled image.

    Attributes:
        fill: name of the fill.
        reversible_risk: the fill is computed from the hidden pixels (blur, pixelation), so some of
            them might be recovered.
    """

    fill: str
    reversible_risk: bool = False


@dataclass(frozen=True)
class Outputs:
    """The written files: the veiled image and its mask (8-bit, 255 = veiled)."""

    veiled: VeiledOutput
    mask: Output


@dataclass(frozen=True)
class Record:
    """Record of one examined image.

    Attributes:
        status: ``ok``: everything was assessed, and the released file is verified. ``partial``:
            verified, but something was not assessed. ``disputed``: verified, but a judge, which
            took no part in the search, still says unsafe. ``not_verified``: the released file still
            scores at or above a threshold. ``not_assessed``: a model or the machine failed, so
            nothing was released. ``error``: the input cannot be examined.
        profile: name of the profile.
        source: the file.
        output_name: start of the names of the files of this record: ``NAME.json`` and others. No
            other record of the same folder has it.
        created: UTC, ISO 8601, such as ``2025-01-31T12:00:00Z``.
        error: one sentence on what went wrong; ``None`` where something was released.
        categories: one result for each category.
        rationale: ``None`` if no reasoner was asked.
        outputs: written files; ``None`` if there are none.
        whole_image_veiled: no counterfactual was found, so nothing of the image is shown.
        models: all models that were used.
        timing_ms: wall-clock milliseconds of each stage.
        warnings: sentences that a reader must know.
        not_assessed: sentences, one for each thing that was not assessed: frames, pictures in the
            file, questions.
        not_covered: what the profile cannot judge, and what to add for it; empty if it says
            nothing.
        settings: all options of the pipeline, defaults too, except the categories.
    """

    status: Status
    profile: str
    source: Source
    output_name: str
    created: str
    error: str | None = None
    categories: tuple[CategoryResult, ...] = ()
    rationale: Rationale | None = None
    outputs: Outputs | None = None
    whole_image_veiled: bool = False
    models: tuple[ModelInfo, ...] = ()
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    not_assessed: tuple[str, ...] = ()
    not_covered: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    schema_version: str = SCHEMA_VERSION

    @classmethod
    def from_error(
        cls,
        source: Source,
        error: BaseException | str,
        *,
        profile: str,
        output_name: str = "image",
        status: Literal["error", "not_assessed"] = "error",
        created: str | None = None,
        not_covered: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> Record:
        """Record of an input of which nothing was released."""
        message = " ".join(str(error).split()) or type(error).__name__
        created = created or utc_now()
        return cls(
            status,
            profile,
            source,
            output_name,
            created,
            error=message,
            not_covered=not_covered,
            settings=settings or {},
        )

    @property
    def flagged(self) -> tuple[CategoryResult, ...]:
        """Categories that flagged the image."""
        return tuple(category for category in self.categories if category.flagged)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers, keys in the schema's order."""
        values = to_plain(self)
        return {key: values[key] for key in schema()["properties"]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Record:
        """The record that :meth:`to_dict` turned into plain data.

        Raises:
            UsageError: it does not follow the schema; the message gives the JSON path.
        """
        validate(value)
        record: Record = from_plain(cls, value)
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
        """SHA-256, hex, of the record's canonical JSON (RFC 8785); equal for equal records."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def utc_now() -> str:
    """The current time, as records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
