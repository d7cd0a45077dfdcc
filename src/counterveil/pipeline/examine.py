"""Examine one file: every failure becomes a record, and nothing unjudged passes as safe."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from counterveil.errors import UsageError
from counterveil.images import load
from counterveil.pipeline.components import CategoryClassifier, Components, Settings
from counterveil.pipeline.explain import Explanation
from counterveil.pipeline.failures import CAUGHT, told
from counterveil.pipeline.frames import Frames, assess
from counterveil.pipeline.job import Job
from counterveil.pipeline.reasons import Asking, Reasons
from counterveil.pipeline.results import results
from counterveil.pipeline.timing import Stopwatch
from counterveil.reasoning.interfaces import Reasoner
from counterveil.record import Output, Outputs, Record, Source, VeiledOutput, utc_now
from counterveil.types import ModelInfo

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


class Pipeline:
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
        watches: Sequence[CategoryClassifier],
        methods: Components,
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
        except CAUGHT as error:  # the per-image boundary: one image never ends a batch
            return Examination(Record.failed(_known(path, name), told(error), profile=self.profile))

    def _examine(self, source: Path | bytes, name: str, stem: str) -> Examination:
        stopwatch = Stopwatch()
        with stopwatch("decode"):
            photos = load(source, name=name, limits=self.settings.limits)
        with stopwatch("score"):
            frames = assess(photos, self.watches)
        methods, settings = self.methods, self.settings
        job = Job(frames.released, self.watches, frames.flagged, methods, settings, stopwatch)
        job.run()
        reasons = Reasons(None)
        if self.reasoner is not None:
            asking = Asking(self.reasoner, frames, job, methods, settings, stopwatch)
            reasons = asking.reasons()
        record = Record(
            status="ok" if frames.complete and not reasons.doubts else "partial",
            profile=self.profile,
            source=frames.source(name),
            created=utc_now(),
            categories=results(frames, job, methods, settings),
            rationale=reasons.rationale,
            outputs=self._outputs(stem, job),
            whole_image_veiled=job.whole,
            models=self._models(),
            timing_ms=stopwatch.milliseconds(),
            warnings=self._warnings(frames, job, reasons),
        )
        return Examination(
            record, job.released.veiled.data, job.released.mask.data, job.explanations
        )

    def _models(self) -> tuple[ModelInfo, ...]:
        models = [watch.classifier.info for watch in self.watches]
        return (*models, self.reasoner.info) if self.reasoner else tuple(models)

    def _outputs(self, stem: str, job: Job) -> Outputs:
        released = job.released
        fill = job.fill
        return Outputs(
            VeiledOutput(
                f"{stem}.veiled.png", released.veiled.sha256, fill.name, fill.reversible_risk
            ),
            Output(f"{stem}.mask.png", released.mask.sha256),
        )

    def _warnings(self, frames: Frames, job: Job, reasons: Reasons) -> tuple[str, ...]:
        said = [self.notice] if self.notice else []
        if reasons.rationale is not None and self.settings.guidance is not None:
            said.append("the reasoner's guidance was set by hand, not by what the classifiers say")
        said += frames.warnings()
        said += [text for each in job.explanations.values() for text in each.warnings]
        return (*said, *job.warnings, *reasons.doubts)


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
