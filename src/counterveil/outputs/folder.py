"""The folder of a run: what is there, what is missing, and every result as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from counterveil.errors import MachineError, UsageError
from counterveil.inputs import Input
from counterveil.inputs.results import RESULT_NAMES, RESULT_SUFFIXES
from counterveil.outputs.plan import (
    PLAN_FILE,
    RUN_FILE,
    RunPlan,
    finish_plan,
    planned_names,
    read_plan,
    write_plan,
)
from counterveil.outputs.records import RecordFile, read_records
from counterveil.outputs.saving import SavedExamination, remove
from counterveil.outputs.tally import Tally
from counterveil.record import Record, utc_now
from counterveil.report import Report

RECORDS_FILE = "records.jsonl"
_LOCK_FILE = ".counterveil.lock"
_DRAFTS = ".counterveil-*.tmp"


class ResultFolder:
    """Writes each result as it comes, so that a run that was cut off can go on.

    Every image has its files first, then its card of the report, then its line in
    ``records.jsonl``: what has a line is whole. The report is written last. No examination is kept
    in memory.

    Args:
        path: the folder; made if it does not exist.
        plan: what the run is about to do.
        inputs: the files to examine.
        resume: go on where an earlier run with the same plan stopped.
        overwrite: remove what an earlier run wrote, whatever it was.

    Attributes:
        tally: counts of all images that have a record, also of those that were there before.

    Raises:
        UsageError: on entering: the folder cannot be written, another run writes there, it holds
            other results, or a result would replace a file that is none.
        MachineError: on entering: the disk is full.
    """

    def __init__(
        self,
        path: Path,
        plan: RunPlan,
        inputs: Sequence[Input],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self.tally = Tally()
        self._plan = plan
        self._inputs = inputs
        self._resume = resume
        self._overwrite = overwrite
        self._lock = FileLock(path / _LOCK_FILE)
        self._records = RecordFile(path / RECORDS_FILE)
        self._report = Report(path)

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise UsageError(
                f"{self.path}: another run writes there; wait for it, or name another folder"
            ) from error
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        try:
            self._open()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _cannot_write(self.path, error) from error
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    @property
    def missing(self) -> list[Input]:
        """Inputs that have no record yet."""
        return [item for item in self._inputs if item.output_name not in self._records]

    def add(self, saved: SavedExamination) -> Record:
        """Write the card and the line of an image whose files are written.

        Raises:
            MachineError: the disk is full. What was written before is whole.
        """
        record = saved.record
        problem = saved.machine_error
        try:
            self._report.add(record, saved.view)
            self._records.add(record)
        except OSError as error:
            raise MachineError(f"{self.path}: {error.strerror or error}") from error
        self.tally.add(record)
        if problem:
            raise MachineError(problem)
        return record

    def finish(self) -> Path:
        """Sort the records as the inputs, write the report, and note that the run has ended.

        Returns:
            Path of the report.

        Raises:
            MachineError: the disk is full. The records are whole.
        """
        try:
            self._records.sort(item.output_name for item in self._inputs)
            page = self._report.write(item.output_name for item in self._inputs)
            finish_plan(self.path, self._plan, utc_now())
        except OSError as error:
            raise MachineError(f"{self.path}: {error.strerror or error}") from error
        return page

    def _open(self) -> None:
        earlier = read_plan(self.path)
        if not self._overwrite:
            self._refuse_other_results(earlier)
        for draft in self.path.glob(_DRAFTS):  # of a run that was killed while it wrote
            draft.unlink(missing_ok=True)
        if self._resume and earlier is not None and not self._overwrite:
            self._keep_what_is_done()
        else:
            self._remove_results()
            self._refuse_foreign_files()
        write_plan(self.path, self._plan, self._inputs)

    def _refuse_other_results(self, earlier: RunPlan | None) -> None:
        start_anew = "name another folder, or remove these results with --overwrite"
        if earlier is None:
            if next(self._results_without_plan(), None) is not None:
                raise UsageError(f"{self.path} holds results of unknown settings; {start_anew}")
            return
        differences = earlier.differences(self._plan)
        if differences:
            raise UsageError(
                f"{self.path} holds results of another run: {'; '.join(differences)}; {start_anew}"
            )
        if not earlier.finished and not self._resume:
            done = sum(1 for _ in read_records(self.path / RECORDS_FILE))
            raise UsageError(
                f"{self.path}: a run was cut off there after {done} of {earlier.inputs} images; "
                "go on with --resume, or start again with --overwrite"
            )

    def _keep_what_is_done(self) -> None:
        """Keep the records whose files are whole and whose input has not changed."""
        inputs = {item.output_name: item for item in self._inputs}
        carded = self._report.names()
        done = []
        for record in read_records(self.path / RECORDS_FILE):
            item = inputs.get(record.output_name)
            if item is not None and record.output_name in carded and self._is_done(record, item):
                self.tally.add(record)
                done.append(record)
        self._records.keep(done)
        for item in self.missing:  # what a cut left of them
            remove(self.path, item.output_name)

    def _is_done(self, record: Record, item: Input) -> bool:
        if record.status == "not_assessed":  # a model or the machine failed: try again
            return False
        if not record.source.sha256 or _sha256(item.path) != record.source.sha256:
            return False
        outputs = () if record.outputs is None else (record.outputs.veiled, record.outputs.mask)
        return (self.path / f"{record.output_name}.json").is_file() and all(
            _sha256(self.path / output.name) == output.sha256 for output in outputs
        )

    def _remove_results(self) -> None:
        """Remove what an earlier run wrote, and nothing else."""
        planned = planned_names(self.path)
        for path in self._results_without_plan():
            path.unlink(missing_ok=True)
        for name in planned:
            remove(self.path, name)
        if not planned:
            return
        self._report.clear()
        with suppress(OSError):  # a folder of that name may hold files of others
            (self.path / "report").rmdir()
        # The plan last: as long as it is there, it tells whose files these are.
        for name in (RECORDS_FILE, RUN_FILE, PLAN_FILE):
            (self.path / name).unlink(missing_ok=True)

    def _results_without_plan(self) -> Iterator[Path]:
        """Results of a run of which no plan is left."""
        if (self.path / PLAN_FILE).exists():
            return
        names = {record.output_name for record in read_records(self.path / RECORDS_FILE)}
        for veiled in self.path.glob("*.veiled.png"):
            name = veiled.name.removesuffix(".veiled.png")
            names |= {name} if (self.path / f"{name}.mask.png").exists() else set()
        for name in sorted(names):
            yield from (self.path / f"{name}{suffix}" for suffix in RESULT_SUFFIXES)
        if (self.path / RECORDS_FILE).exists():
            yield from (self.path / name for name in (RECORDS_FILE, "report.html"))

    def _refuse_foreign_files(self) -> None:
        """A file beside the inputs may have the name of a result, such as ``photo.json``."""
        results = (f"{i.output_name}{suffix}" for i in self._inputs for suffix in RESULT_SUFFIXES)
        names = [
            name for name in chain(sorted(RESULT_NAMES), results) if (self.path / name).exists()
        ][:3]
        if names:
            raise UsageError(
                f"{self.path}: results would replace {', '.join(names)}, which Counterveil did "
                "not write; name another folder"
            )


def _cannot_write(path: Path, error: OSError) -> UsageError | MachineError:
    reason = error.strerror or str(error)
    if isinstance(error, NotADirectoryError | FileExistsError | PermissionError):
        return UsageError(
            f"{path}: no results can be written there ({reason}); name a folder that may be written"
        )
    return MachineError(f"{path}: no results can be written there ({reason})")


def _sha256(path: Path) -> str:
    """SHA-256 of a regular file; empty if it cannot be read."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
