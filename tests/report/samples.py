"""Records in every state that a report can show, and a report as a string."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from counterveil.record import (
    Answer,
    CategoryResult,
    CounterfactualResult,
    Judgement,
    Output,
    Outputs,
    Rationale,
    Record,
    Source,
    VeiledOutput,
)
from counterveil.report import Report, View
from counterveil.types import ModelInfo

SHA = "0123456789abcdef" * 4

FOUND = CounterfactualResult(
    "found", 0.97, 0.03, 0.1, depth=3, regions_total=25, regions_veiled=2, area_fraction=0.125,
    verified=True, irreducible=True, evaluations=40, attribution="fullgrad", segmentation="bass",
    search="minimal", fill="black",
)  # fmt: skip


def category(result: CounterfactualResult = FOUND, **changes: Any) -> CategoryResult:
    made = CategoryResult("self_harm", 0.97, 0.5, True, result, "Self-harm", "pictograms:self_harm")
    return replace(made, **changes)


def not_flagged() -> CategoryResult:
    result = CounterfactualResult.not_needed(0.02, target=0.1)
    return CategoryResult("faces", 0.02, 0.5, False, result, "Faces", "nudenet:FACE")


def record(**changes: Any) -> Record:
    made = Record(
        status="ok",
        profile="custom",
        source=Source("a.png", SHA, 40, 30, "PNG", 1, (0,)),
        output_name="a",
        created="2026-01-31T12:00:00.000Z",
        categories=(category(), not_flagged()),
        outputs=Outputs(VeiledOutput("a.veiled.png", SHA, "black"), Output("a.mask.png", SHA)),
        models=(ModelInfo("pictograms:self_harm", "1", SHA), ModelInfo("python:mine:make")),
        timing_ms={"search": 12.5},
    )
    return replace(made, **changes)


def animated() -> Record:
    source = Source("a.gif", SHA, 40, 30, "GIF", 30, (0, 14), 14, ("transparency laid on white",))
    return record(
        status="partial",
        not_assessed=("28 of 30 frames were not assessed",),
        source=source,
        warnings=("the file holds 30 frames",),
        categories=(category(frame=14), not_flagged()),
    )


def flagged_in_two_frames() -> Record:
    """One category flagged the released frame, the other category another frame."""
    hidden = CounterfactualResult.not_needed(0.01, target=0.1)
    bullying = CategoryResult("b", 0.91, 0.5, True, hidden, "Bullying", "pictograms:b", 3)
    source = Source("a.gif", SHA, 40, 30, "GIF", 4, (0, 1, 2, 3), 1)
    return record(source=source, categories=(category(frame=1), bullying))


def partly_answered() -> Record:
    """Assessed in full by the classifiers, and in part by the reasoner."""
    answers = (
        Answer("self_harm", "Are there marks?", "Yes, on the forearm.", 0.93),
        Answer("self_harm", "Is there a blade?", "", None, reason="it refused"),
    )
    words = Rationale("Flagged.", "", answers, {}, "chat:vlm.internal:8000#org/qwen", "Your image.")
    gap = "the reasoner did not answer 1 question (it refused); that is not a no"
    return record(status="partial", not_assessed=(gap,), rationale=words, models=())


def not_found() -> Record:
    result = replace(FOUND, outcome="not_found", area_fraction=1.0, irreducible=False)
    return record(categories=(category(result), not_flagged()), whole_image_veiled=True)


def unverified() -> Record:
    result = replace(FOUND, verified=False, score_after=0.83, irreducible=False)
    return record(status="not_verified", categories=(category(result), not_flagged()))


def not_assessed() -> Record:
    source = Source("a.png", SHA, 40, 30, "PNG", 1, (0,))
    reason = "the model server closed the connection"
    return Record.from_error(source, reason, profile="custom", status="not_assessed")


def with_rationale() -> Record:
    answers = (
        Answer("self_harm", "Are there marks?", "Yes, on the forearm.", 0.93, 0.02, True),
        Answer("self_harm", "Is there a blade?", "Yes, a blade.", 0.8, 0.7),
        Answer("self_harm", "Is there a skull?", "No.", 0.04),
        Answer("faces", "Is there a face?", "", None, reason="the server did not answer in time"),
    )
    rationale = Rationale(
        "Flagged as Self-harm.", "A forearm.", answers, {"self_harm": 0.97}, "blip", "Your image."
    )
    return record(rationale=rationale)


def failed(name: str = "broken.png", error: str = "truncated; ask for an intact copy") -> Record:
    return Record.from_error(Source(name, SHA), error, profile="custom")


def thumbnail_flagged() -> Record:
    """The picture is clean, and the thumbnail in its file is not."""
    clean = CounterfactualResult.not_needed(0.02, target=0.1)
    flagged = replace(category(clean), view="EXIF thumbnail")
    return record(categories=(flagged, not_flagged()))


def disputed() -> Record:
    """Verified, but a second classifier still sees something."""
    judgement = Judgement("nsfwjs:mobilenet_v2", 0.93, 0.71, 0.5)
    result = replace(FOUND, judgements=(judgement,))
    return record(status="disputed", categories=(category(result), not_flagged()))


STATES = {
    "disputed": disputed,
    "veiled": record,
    "clean": lambda: record(categories=(not_flagged(),)),
    "veiled_whole": not_found,
    "left_out": thumbnail_flagged,
    "partial": animated,
    "not_verified": unverified,
    "not_assessed": not_assessed,
    "failed": failed,
}


def pictures() -> dict[str, Any]:
    """A veiled image with its original, mask, attribution map and regions."""
    rng = np.random.default_rng(3)
    original = rng.integers(0, 256, (60, 80, 3), np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    veiled = np.where(mask[..., None], np.uint8(0), original)
    labels = (np.arange(60)[:, None] // 10 * 8 + np.arange(80) // 10).astype(np.int32)
    attribution_map = rng.random((60, 80), np.float32)
    return {
        "original": original,
        "veiled": veiled,
        "mask": mask,
        "attribution_map": attribution_map,
        "labels": labels,
    }


def write(folder: Path, pairs: Iterable[tuple[Record, View | None]], **options: Any) -> Path:
    """Write the report of some records, in a folder of results."""
    report = Report(folder, **options)
    for number, (one, view) in enumerate(pairs):
        report.add(replace(one, output_name=f"n{number}"), view)
    return report.write()


def html(pairs: Iterable[tuple[Record, View | None]], **options: Any) -> str:
    """The first page of the report of some records."""
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder), pairs, **options).read_text("utf-8")
