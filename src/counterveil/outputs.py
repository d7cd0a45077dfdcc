"""A folder of results: veiled images, masks, records and the report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from counterveil import report
from counterveil.images import decode_clean, write_atomic
from counterveil.pipeline import Examination
from counterveil.record import Record
from counterveil.report.pictures import heat_png, regions_png, thumbnail


class Folder:
    """Writes each examination as it comes, and the manifest and the report last.

    ``records.jsonl`` and ``report.html`` appear when the folder is closed: while they are
    absent, the run has not finished.

    Args:
        path: the folder, made where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = 0
        self.failed = 0
        self.flagged = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        for name in ("records.jsonl", "report.html"):
            (self.path / name).unlink(missing_ok=True)
        scratch = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="counterveil-"))
        self._scratch = Path(scratch)
        self._lines = self._scratch / "records.jsonl"
        self._file = self._stack.enter_context(self._lines.open("w", encoding="utf-8"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.flush()
        try:
            if kind is None:
                report.write(self.path / "report.html", self._pairs())
                write_atomic(self.path / "records.jsonl", self._lines.read_bytes())
        finally:
            self._stack.close()

    def add(self, stem: str, examination: Examination) -> Record:
        """Write one examination's files."""
        record = examination.record
        if record.outputs is not None:
            assert examination.veiled is not None and examination.mask is not None
            write_atomic(self.path / record.outputs.veiled.name, examination.veiled)
            write_atomic(self.path / record.outputs.mask.name, examination.mask)
            self._keep_views(stem, examination)
        write_atomic(self.path / f"{stem}.json", (record.to_json() + "\n").encode())
        self._file.write(record.to_json() + "\n")
        self.done += 1
        self.failed += record.status == "error"
        self.flagged += bool(record.flagged)
        return record

    @property
    def summary(self) -> str:
        """What happened, in a line."""
        return f"{self.done} examined, {self.flagged} flagged, {self.failed} failed"
