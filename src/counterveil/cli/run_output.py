"""What ``counterveil run`` prints on standard error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import typer

from counterveil import narrative
from counterveil.inputs import Skipped
from counterveil.outcomes import OUTCOMES, SKIPPED, ExitStatus, Outcome, outcome
from counterveil.outputs import Tally
from counterveil.record import Record

Mode = Literal["quiet", "normal", "verbose", "json"]

_MEANINGS = {
    ExitStatus.FAILED: "some input failed",
    ExitStatus.NOT_VERIFIED: "something was not verified or not assessed",
    ExitStatus.MACHINE: "the machine gave out",
    ExitStatus.INTERRUPTED: "interrupted",
}
GO_ON = "run the same command with --resume to go on"


class RunOutput:
    """Lines on standard error: sentences for people, or one JSON object a line for programs.

    Args:
        mode: ``quiet`` prints what a person must look at; ``verbose`` also each image and each
            skipped file; ``json`` prints the same as ``verbose``, as JSON.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode

    def skipped(self, files: Sequence[Skipped]) -> None:
        """Files that are no inputs."""
        for file in files:
            self._line(
                f"{_shown(file.name)}: skipped, {file.reason}",
                {"event": "skipped", "name": file.name, "reason": file.reason},
                "verbose",
            )

    def image(self, record: Record) -> None:
        """One image is done."""
        found = outcome(record)
        self._line(
            f"{_shown(record.source.name)}: {found.title}. {narrative.summary(record)}",
            {
                "event": "image",
                "name": record.source.name,
                "outcome": found.key,
                "reason": narrative.summary(record),
                "output_name": record.output_name,
                "scores": {category.key: category.score for category in record.categories},
                "ms": record.timing_ms.get("total"),
            },
            "verbose",
        )

    def end(
        self, tally: Tally, *, skipped: int, not_covered: str, report: Path, status: ExitStatus
    ) -> None:
        """The run has ended by itself.

        Args:
            tally: counts of all images.
            skipped: number of files that are no inputs.
            not_covered: what the profile cannot judge; empty if it says nothing.
            report: path of the report.
            status: that the command ends with.
        """
        counts = {key: tally.counts[key] for key in OUTCOMES if tally.counts[key]}
        if self._mode == "json":
            # Counts of images by outcome, and of files that are no inputs.
            fields = {
                **counts,
                SKIPPED: skipped,
                "not_covered": not_covered,
                "report": str(report),
                "exit_status": status,
            }
            self._line("", {"event": "end", **fields}, "normal")
            return
        for key in counts:
            self._examples(OUTCOMES[key], tally)
        self._line(f"{summary(tally, skipped)}; report: {report}", {}, "normal")
        if not_covered:
            self._line(f"not assessed by this profile: {not_covered}", {}, "normal")
        self._status(status)

    def stopped(self, reason: str, status: ExitStatus, *, done: int, total: int) -> None:
        """The run was cut off."""
        text = f"counterveil: {reason}; {done} of {total} images have a record; {GO_ON}"
        fields = {"event": "stopped", "reason": reason, "done": done, "total": total}
        self._line(text, {**fields, "exit_status": status}, "quiet")

    def _examples(self, found: Outcome, tally: Tally) -> None:
        """The first images that a person must look at, with their reasons."""
        if found.exit_status == ExitStatus.OK:
            return
        examples = tally.examples[found.key]
        for name, reason in examples:
            self._line(f"{found.title}: {_shown(name)}: {reason}", {}, "quiet")
        more = tally.counts[found.key] - len(examples)
        if more:
            self._line(f"{found.title}: {more} more; see records.jsonl or the report", {}, "quiet")

    def _status(self, status: ExitStatus) -> None:
        if status != ExitStatus.OK:
            self._line(f"exit status {int(status)}: {_MEANINGS[status]}", {}, "quiet")

    def _line(self, text: str, fields: dict[str, Any], least: Mode) -> None:
        """Print, if the mode is at least this talkative."""
        order = ("quiet", "normal", "verbose", "json")
        if order.index(self._mode) < order.index(least):
            return
        typer.echo(json.dumps(fields) if self._mode == "json" else text, err=True)


def summary(tally: Tally, skipped: int) -> str:
    """``60 images: 1 not verified, 40 veiled and verified, 19 clean; 2 files skipped``."""
    parts = [
        f"{tally.counts[key]} {found.title.lower()}"
        for key, found in OUTCOMES.items()
        if tally.counts[key]
    ]
    text = f"{narrative.pluralize(tally.counts.total(), 'image')}: {', '.join(parts) or 'none'}"
    return f"{text}; {narrative.pluralize(skipped, 'file')} skipped" if skipped else text


def _shown(name: str) -> str:
    """A file's name without bytes that a terminal would obey or could not show."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
