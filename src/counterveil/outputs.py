"""A folder of results: veiled images, masks, records and the report."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from counterveil import report
from counterveil.atomic import write_atomic
from counterveil.errors import UsageError
from counterveil.images import Limits, decode_clean, load
from counterveil.pipeline import Examination
from counterveil.record import Record


class Folder:
    """Writes each examination as it comes, the report and the manifest last.

    ``report.html`` and then ``records.jsonl`` appear when the folder is closed: while they are
    absent, the run has not finished. No examination is held in memory.

    Args:
        path: the folder, made where it does not exist.

    Raises:
        UsageError: on entering, that nothing can be written there.
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
        self._draft = self.path / f".counterveil-{secrets.token_hex(8)}.tmp"
        self._lines = self._draft.open("x", encoding="utf-8")
        self._report = report.Report(self.path / "report.html").__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._report.__exit__(kind, error, trace)
            with self._lines as lines:
                lines.flush()
                os.fsync(lines.fileno())
            if kind is None:
                self._draft.replace(self.path / "records.jsonl")
        finally:
            self._lines.close()
            self._draft.unlink(missing_ok=True)

    def add(self, stem: str, examination: Examination) -> Record:
        """Write one examination's files; where they cannot be written, its record says so."""
        try:
            self._write(stem, examination)
        except OSError as error:
            text = f"its results could not be written ({error.strerror or error})"
            source, profile = examination.record.source, examination.record.profile
            examination = Examination(Record.failed(source, text, profile=profile))
            with suppress(OSError):  # the line below is written in any case
                self._write(stem, examination)
        record = examination.record
        self._lines.write(record.to_json() + "\n")
        self._report.add(record, _view(examination))
        self.done += 1
        self.failed += record.status == "error"
        self.flagged += bool(record.flagged)
        return record

    def _write(self, stem: str, examination: Examination) -> None:
        record = examination.record
        if record.outputs is None:
            # What an earlier run released here does not belong to this record.
            for kind in ("veiled", "mask"):
                (self.path / f"{stem}.{kind}.png").unlink(missing_ok=True)
        else:
            assert examination.veiled is not None and examination.mask is not None
            write_atomic(self.path / record.outputs.veiled.name, examination.veiled)
            write_atomic(self.path / record.outputs.mask.name, examination.mask)
        write_atomic(self.path / f"{stem}.json", (record.to_json() + "\n").encode())

    @property
    def summary(self) -> str:
        """What happened, in a line."""
        return f"{self.done} examined, {self.flagged} flagged, {self.failed} failed"


def _view(examination: Examination) -> report.View | None:
    """The report's pictures, made from what was written: the original is not at hand here."""
    if examination.veiled is None or examination.mask is None:
        return None
    explanations = list(examination.explanations.values())
    ours = Limits(bytes=sys.maxsize, pixels=sys.maxsize, total_pixels=sys.maxsize)
    return report.view(
        decode_clean(examination.veiled),
        load(examination.mask, name="mask", limits=ours)[0].pixels[..., 0] > 127,
        [explanation.attribution_map for explanation in explanations],
        explanations[0].labels if explanations else None,
    )
