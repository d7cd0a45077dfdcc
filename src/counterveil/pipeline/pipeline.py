"""Examines files: the one place where the steps meet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import overload

from counterveil.config import Config
from counterveil.errors import BOUNDARY_ERRORS, ImageError, UsageError, describe_error
from counterveil.images import load
from counterveil.pipeline.assess import Assessment, assess
from counterveil.pipeline.components import CategoryClassifier, Components, Context, Stopwatch
from counterveil.pipeline.examination import Examination
from counterveil.pipeline.judges import judge_again, satisfy_judges
from counterveil.pipeline.mask import completion_warnings
from counterveil.pipeline.rationale import RationaleResult, RationaleWriter
from counterveil.pipeline.results import (
    frame_warnings,
    make_record,
    margin_warnings,
    settings,
    threshold_warnings,
)
from counterveil.pipeline.source import FileSource, ImageSource, open_source
from counterveil.pipeline.veil import VeiledFrame, veil
from counterveil.reasoning.interfaces import Reasoner
from counterveil.record import Record, Source
from counterveil.types import ModelInfo

_MAX_HASHED_BYTES = 1 << 31
"""Largest file that is still read for its hash after it was refused: a refusal must stay cheap."""


class Pipeline:
    """Examines images: scores them, veils what is unsafe, verifies the result, records it.

    :func:`counterveil.load` makes one from a profile.

    Args:
        classifiers: one for each category; at least one.
        components: methods of the counterfactual search.
        config: limits, margin, name of the profile; the defaults if ``None``.
        reasoner: writes the rationale; ``None``: records have none.

    Raises:
        UsageError: there is no category, or two have the same key.

    Example:
        >>> import counterveil
        >>> pipeline = counterveil.load("pictograms")
        >>> examination = pipeline.examine("photo.png")
        >>> examination.save("out")  # doctest: +SKIP
    """

    def __init__(
        self,
        classifiers: Sequence[CategoryClassifier],
        components: Components,
        *,
        config: Config | None = None,
        reasoner: Reasoner | None = None,
    ) -> None:
        keys = [each.category.key for each in classifiers]
        if not keys or len(set(keys)) < len(keys):
            raise UsageError(f"a pipeline needs categories with different keys, got {keys}")
        self.classifiers = tuple(classifiers)
        self.components = components
        self.config = config or Config()
        self.reasoner = reasoner

    @overload
    def examine(
        self, source: ImageSource, *, name: str | None = None, output_name: str | None = None
    ) -> Examination: ...

    @overload
    def examine(
        self, source: list[ImageSource], *, name: None = None, output_name: None = None
    ) -> list[Examination]: ...

    def examine(
        self,
        source: ImageSource | list[ImageSource],
        *,
        name: str | None = None,
        output_name: str | None = None,
    ) -> Examination | list[Examination]:
        """Examine one image, or each image of a list.

        A broken or missing file is not an exception: its record has the status ``error``. Nor is a
        model that fails: the status is ``not_assessed``.

        Args:
            source: a path, bytes, a binary file object, a NumPy array (uint8, grey, RGB or RGBA),
                a PIL image, or a list of these.
            name: name in the record; the file's own name if ``None``.
            output_name: start of the output files' names; from ``name`` if ``None``.

        Raises:
            InputTypeError: ``source`` is none of these.
        """
        if isinstance(source, list | tuple):
            return [self.examine(each) for each in source]
        file = open_source(source, name)
        output_name = output_name or PurePath(file.name).stem
        try:
            return self._examine(file, output_name)
        except BOUNDARY_ERRORS as error:  # one image never ends a batch
            record = Record.from_error(
                _source_of(file),
                describe_error(error),
                profile=self.config.name,
                output_name=output_name,
                # A file that decodes is not at fault: the next try may succeed.
                status="error" if isinstance(error, ImageError) else "not_assessed",
                not_covered=self.config.not_covered,
                settings=settings(self.config),
            )
            return Examination(record)

    def _examine(self, file: FileSource, output_name: str) -> Examination:
        stopwatch = Stopwatch()
        context = Context(self.components, self.config, stopwatch)
        with stopwatch("decode"):
            frames = load(file.data, name=file.name, limits=self.config.limits())
        frames = tuple(replace(frame, notes=(*frame.notes, *file.notes)) for frame in frames)
        with stopwatch("score"):
            assessment = assess(frames, self.classifiers)
        veiled = satisfy_judges(veil(assessment, context), assessment, context)
        result = RationaleResult(None, veiled)
        # The rationale may widen the veil, so the record describes its result.
        if self.reasoner is not None:
            writer = RationaleWriter(self.reasoner, assessment, context)
            result = writer.write(veiled)
            if result.veiled.release is not veiled.release and veiled.judgements:
                result = replace(result, veiled=judge_again(result.veiled, assessment))
        record = make_record(
            assessment,
            result.veiled,
            result.rationale,
            context,
            name=file.name,
            output_name=output_name,
            not_assessed=(*assessment.not_assessed, *result.not_assessed),
            models=self.models,
            timing_ms=stopwatch.milliseconds(),
            warnings=self._warnings(assessment, result),
        )
        release = result.veiled.release
        return Examination(
            record,
            release.veiled.data,
            release.mask.data,
            result.veiled.explanations,
        )

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models that the pipeline uses; the reasoner is the last."""
        models = [each.classifier.info for each in self.classifiers]
        models += [judge.info for each in self.classifiers for judge in each.judges]
        if self.components.segmenter is not None:
            models.append(self.components.segmenter.info)
        return (*models, self.reasoner.info) if self.reasoner else tuple(models)

    def _warnings(self, assessment: Assessment, result: RationaleResult) -> tuple[str, ...]:
        """All warnings, in the order of the steps."""
        veiled: VeiledFrame = result.veiled
        warnings = [self.config.notice] if self.config.notice else []
        if result.rationale is not None and self.config.guidance is not None:
            warnings.append("the reasoner's guidance was configured, not taken from the scores")
        warnings += [*threshold_warnings(assessment), *frame_warnings(assessment)]
        for explanation in veiled.explanations.values():
            warnings += explanation.warnings
        if veiled.explanations:
            warnings += completion_warnings(self.components, self.config)
        warnings += veiled.warnings
        return (*warnings, *margin_warnings(assessment, veiled, self.config.margin))


def _source_of(file: FileSource) -> Source:
    """Name and hash of a file that could not be examined."""
    if isinstance(file.data, bytes):
        return Source(file.name, hashlib.sha256(file.data).hexdigest())
    path: Path = file.data
    try:
        if not path.is_file() or path.stat().st_size > _MAX_HASHED_BYTES:
            return Source(file.name)
        with path.open("rb") as opened:
            return Source(file.name, hashlib.file_digest(opened, "sha256").hexdigest())
    except OSError:
        return Source(file.name)
