"""Examine one file: every failure becomes a record, and nothing unjudged passes as safe."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np

from counterveil.categories import ControlCode
from counterveil.errors import CounterveilError, UsageError
from counterveil.images import load
from counterveil.pipeline.answers import answered_by
from counterveil.pipeline.explain import Explanation
from counterveil.pipeline.job import Job
from counterveil.pipeline.parts import Methods, Settings, Watch
from counterveil.pipeline.rationale import explain, not_assessed
from counterveil.pipeline.timing import Stopwatch
from counterveil.reasoning.base import Reasoner
from counterveil.record import (
    CategoryResult,
    CounterfactualResult,
    Output,
    Outputs,
    Rationale,
    Record,
    Source,
    VeiledOutput,
    utc_now,
)
from counterveil.types import Image, ModelInfo, Photo

_HASHED_AT_MOST = 1 << 31
"""Bytes of a refused file that are still read for its hash: a refusal must stay cheap."""


@dataclass(frozen=True, eq=False)
class Examination:
    """A record, and the files it speaks of.

    Attributes:
        record: what was done.
        veiled: bytes of the veiled image, PNG; ``None`` when nothing could be examined.
        mask: bytes of the mask, PNG.
        explanations: a flagged category each; empty when nothing was flagged.
    """

    record: Record
    veiled: bytes | None = None
    mask: bytes | None = None
    explanations: dict[str, Explanation] = field(default_factory=dict)


class Counterveil:
    """Examines images: scores them, veils what is unsafe, verifies, records.

    Args:
        watches: what is watched for; at least one.
        methods: how counterfactuals are found.
        settings: how far to go.
        profile: the name records carry.
        notice: a sentence for every record, such as what these classifiers are not for.
        reasoner: writes the rationale; ``None`` leaves records without one.

    Raises:
        UsageError: nothing to watch for, or one key twice.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        methods: Methods,
        *,
        settings: Settings | None = None,
        profile: str = "custom",
        notice: str = "",
        reasoner: Reasoner | None = None,
    ) -> None:
        keys = [watch.category.key for watch in watches]
        if not keys or len(set(keys)) < len(keys):
            raise UsageError(f"a pipeline needs categories, each once; got {keys}")
        self.watches = tuple(watches)
        self.methods = methods
        self.settings = settings or Settings()
        self.profile = profile
        self.notice = notice
        self.reasoner = reasoner

    def examine(
        self, source: Path | str | bytes, *, name: str | None = None, stem: str | None = None
    ) -> Examination:
        """Examine one file; never raises for what is in it.

        Args:
            source: a path, or a file's bytes.
            name: what the record calls it; the file's name where not given.
            stem: start of the output files' names; from the name where not given.
        """
        path = Path(source) if isinstance(source, str) else source
        if name is None:
            name = path.name if isinstance(path, PurePath) else "image"
        try:
            return self._examine(path, name, stem or PurePath(name).stem)
        except CounterveilError as error:
            return Examination(Record.failed(_known(path, name), error, profile=self.profile))
        except Exception as error:  # the per-image boundary: one image never ends a batch
            text = f"unexpected {type(error).__name__}: {error}; please report it"
            return Examination(Record.failed(_known(path, name), text, profile=self.profile))

    def _examine(self, source: Path | bytes, name: str, stem: str) -> Examination:
        stopwatch = Stopwatch()
        with stopwatch("decode"):
            frames = load(source, name=name, limits=self.settings.limits)
        with stopwatch("score"):
            scores = np.stack([self._scores(photo.pixels) for photo in frames])
        worst = int((scores - self._thresholds()).max(axis=1).argmax())
        photo, before = frames[worst], scores[worst]
        flagged = [
            w for w, s in zip(self.watches, before, strict=True) if s >= w.category.threshold
        ]
        job = Job(photo, self.watches, flagged, self.methods, self.settings, stopwatch)
        job.run()
        results = self._results(job, before)
        rationale, doubt = self._rationale(job, results, stopwatch)
        if self._veil_answers(job, rationale, stopwatch):
            results = self._results(job, before)
            rationale, doubt = self._rationale(job, results, stopwatch)
        record = Record(
            status="partial" if photo.frames > len(frames) or doubt else "ok",
            profile=self.profile,
            source=_source(frames, worst, name),
            created=utc_now(),
            categories=results,
            rationale=rationale,
            outputs=self._outputs(stem, job),
            whole_image_veiled=job.whole,
            models=self._models(),
            timing_ms=stopwatch.milliseconds(),
            warnings=(*self._warnings(frames, worst, job), *([doubt] if doubt else [])),
        )
        return Examination(
            record, job.released.veiled.data, job.released.mask.data, job.explanations
        )

    def _thresholds(self) -> np.ndarray:
        return np.array([watch.category.threshold for watch in self.watches])

    def _scores(self, image: Image) -> np.ndarray:
        return np.array([float(w.classifier.score(image[None])[0]) for w in self.watches])

    def _models(self) -> tuple[ModelInfo, ...]:
        models = [watch.classifier.info for watch in self.watches]
        return (*models, self.reasoner.info) if self.reasoner else tuple(models)

    def _rationale(
        self, job: Job, results: Sequence[CategoryResult], stopwatch: Stopwatch
    ) -> tuple[Rationale | None, str]:
        """The rationale, and what is to be warned of; no failure here loses the veil."""
        if self.reasoner is None:
            return None, ""
        try:
            with stopwatch("reason"):
                rationale = explain(
                    self.reasoner,
                    job.photo.pixels,
                    job.released.pixels,
                    [watch.category for watch in self.watches],
                    results,
                    asked=self.settings.questions,
                    whole=job.whole,
                )
        except CounterveilError as error:
            return None, f"no rationale was written: {error}"
        except Exception as error:
            text = f"{type(error).__name__}: {error}; please report it"
            return None, f"no rationale was written: unexpected {text}"
        return rationale, not_assessed(rationale)

    def _veil_answers(self, job: Job, rationale: Rationale | None, stopwatch: Stopwatch) -> bool:
        """Veil what is still answered by yes, where that is wanted; whether more is veiled."""
        if self.reasoner is None or rationale is None or job.whole or not self.settings.answers:
            return False
        still = [a.question for a in rationale.answers if a.yes and (a.p_yes_veiled or 0) >= 0.5]
        if not still:
            return False
        try:
            with stopwatch("answers"):
                more = answered_by(
                    self.reasoner,
                    job.photo.pixels,
                    job.mask,
                    still,
                    ControlCode(rationale.control),
                    fill=job.fill,
                    methods=self.methods,
                    settings=self.settings,
                )
        except CounterveilError as error:
            job.warnings.append(f"what is still answered by yes could not be veiled: {error}")
            return False
        if more is None or not job.veil_also(more):
            job.warnings.append("no veil was found under which every answer is no")
            return False
        return True

    def _results(self, job: Job, before: np.ndarray) -> tuple[CategoryResult, ...]:
        results = []
        for watch, score in zip(self.watches, before, strict=True):
            category = watch.category
            results.append(
                CategoryResult(
                    key=category.key,
                    score=float(score),
                    threshold=category.threshold,
                    flagged=bool(score >= category.threshold),
                    counterfactual=self._counterfactual(job, watch, float(score)),
                    title=category.title,
                    classifier=watch.classifier.info.name,
                )
            )
        return tuple(results)

    def _counterfactual(self, job: Job, watch: Watch, before: float) -> CounterfactualResult:
        key, threshold = watch.category.key, watch.category.threshold
        after = job.released.scores[key]
        explanation = job.explanations.get(key)
        if explanation is None:
            target = min(threshold, self.settings.target)
            result = CounterfactualResult.not_needed(before, target=target)
            return replace(result, score_after=after, verified=after < threshold)
        result = CounterfactualResult.of(
            explanation.counterfactual,
            score_after=after,
            verified=after < threshold,
            attribution=explanation.attribution,
            segmentation=self.methods.segmentation.name,
            search=self.methods.search.name,
            fill=job.fill.name,
        )
        return replace(
            result,
            outcome="not_found" if job.whole else result.outcome,
            area_fraction=float(job.mask.mean()),
            completed_fraction=job.completed,
            score_before=before,
            irreducible=job.irreducible and not job.whole,
            forwards=explanation.forwards,
        )

    def _outputs(self, stem: str, job: Job) -> Outputs:
        released = job.released
        fill = job.fill
        return Outputs(
            VeiledOutput(
                f"{stem}.veiled.png", released.veiled.sha256, fill.name, fill.reversible_risk
            ),
            Output(f"{stem}.mask.png", released.mask.sha256),
        )

    def _warnings(self, frames: Sequence[Photo], worst: int, job: Job) -> list[str]:
        warnings = [self.notice] if self.notice else []
        total = frames[0].frames
        if total > 1:
            warnings.append(
                f"the file holds {total} frames; {len(frames)} were assessed, and only frame "
                f"{frames[worst].frame}, which scored worst, is released"
            )
        return [*warnings, *job.warnings]


def _source(frames: Sequence[Photo], worst: int, name: str) -> Source:
    photo = frames[worst]
    return Source(
        name=name,
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        format=photo.format,
        frames=photo.frames,
        frames_assessed=tuple(frame.frame for frame in frames),
        frame=photo.frame,
        notes=photo.notes,
    )


def _known(source: Path | bytes, name: str) -> Source:
    """What can be told of a file that could not be examined."""
    if isinstance(source, bytes):
        return Source(name, hashlib.sha256(source).hexdigest())
    try:
        if not source.is_file() or source.stat().st_size > _HASHED_AT_MOST:
            return Source(name)
        with source.open("rb") as file:
            return Source(name, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError:
        return Source(name)
