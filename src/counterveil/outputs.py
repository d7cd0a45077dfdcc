"""Folder of results: veiled images, masks, records and the report."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from counterveil import report
from counterveil.atomic import atomic_file
from counterveil.errors import UsageError
from counterveil.images import Limits, decode_clean, load
from counterveil.pipeline import Examination
from counterveil.record import Record


class ResultFolder:
    """Writes each examination at once, and the report and the list of records last.

    ``report.html`` and then ``records.jsonl`` appear when the folder is closed: while they are
    missing, the run has not finished. No examination is kept in memory.

    Args:
        path: the folder; made if it does not exist.

    Raises:
        UsageError: on entering: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = 0
        self.failed = 0
        self.flagged = 0

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            raise UsageError(
                f"{self.path}: no results can be written there ({error.strerror or error}); "
                "name a folder that may be written"
            ) from error
        return self

    def _open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for name in ("records.jsonl", "report.html"):
            (self.path / name).unlink(missing_ok=True)
        with ExitStack() as stack:
            # Closed in the opposite order: the list of records appears last.
            self._lines = stack.enter_context(atomic_file(self.path / "records.jsonl"))
            self._report = stack.enter_context(report.Report(self.path / "report.html"))
            self._stack = stack.pop_all()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, examination: Examination) -> Record:
        """Write one examination's files. If that fails, its record becomes an error."""
        try:
            examination.save(self.path)
        except OSError as error:
            reason = f"its results could not be written ({error.strerror or error})"
            source, profile = examination.record.source, examination.record.profile
            examination = Examination(
                Record.from_error(
                    source, reason, profile=profile, output_name=examination.output_name
                )
            )
            with suppress(OSError):  # the line below is written in any case
                examination.save(self.path)
        record = examination.record
        self._lines.write(f"{record.to_json()}\n".encode())
        self._report.add(record, _report_view(examination))
        self.done += 1
        self.failed += record.status == "error"
        self.flagged += bool(record.flagged)
        return record

    @property
    def summary(self) -> str:
        """One line with the counts."""
        return f"{self.done} examined, {self.flagged} flagged, {self.failed} failed"


def _report_view(examination: Examination) -> report.View | None:
    """Pictures for the report, made from the released files: the original is not available here."""
    if examination.veiled is None or examination.mask is None:
        return None
    explanations = list(examination.explanations.values())
    # Limits are for untrusted files; this mask is our own.
    no_limits = Limits(bytes=sys.maxsize, pixels=sys.maxsize, total_pixels=sys.maxsize)
    return report.view(
        decode_clean(examination.veiled),
        load(examination.mask, name="mask", limits=no_limits)[0].pixels[..., 0] > 127,
        [explanation.attribution_map for explanation in explanations],
        explanations[0].labels if explanations else None,
    )
