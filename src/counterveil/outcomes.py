"""Outcomes of an examination, and the exit statuses of the command line: defined here alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from counterveil.record import Record

__all__ = ["OUTCOMES", "SKIPPED", "ExitStatus", "Outcome", "exit_status", "outcome", "verified"]


class ExitStatus(IntEnum):
    """Exit status of a command.

    Where several apply, the order is 130, 4, 2, 3, 1: an image that may still show something
    unsafe outweighs a file that could not be read.
    """

    OK = 0
    FAILED = 1
    """Some input cannot be examined: broken, too large or not supported."""
    USAGE = 2
    """The command is wrong, or a model that it names cannot be loaded; nothing was done."""
    NOT_VERIFIED = 3
    """Something was not verified or not assessed."""
    MACHINE = 4
    """The machine gave out: disk or memory."""
    INTERRUPTED = 130


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes:
        key: for programs.
        title: for people.
        status: of the record.
        exit_status: of a run in which this is the worst outcome.
        severity: how soon a person should look at it; higher is sooner.
        meaning: one sentence for people.
    """

    key: str
    title: str
    status: str
    exit_status: ExitStatus
    severity: int
    meaning: str


_OUTCOMES = (
    Outcome("not_verified", "Not verified", "not_verified", ExitStatus.NOT_VERIFIED, 8,
            "The released file still scores at or above a threshold."),
    Outcome("not_assessed", "Not assessed", "not_assessed", ExitStatus.NOT_VERIFIED, 7,
            "A model or the machine failed; nothing was released, and another try may work."),
    Outcome("failed", "Failed", "error", ExitStatus.FAILED, 6,
            "The input cannot be examined; nothing was released."),
    Outcome("disputed", "Disputed", "disputed", ExitStatus.NOT_VERIFIED, 5,
            "The released file is verified, but a judge still says unsafe: a person should look."),
    Outcome("partial", "Assessed in part", "partial", ExitStatus.NOT_VERIFIED, 4,
            "The released file is verified, but something was not assessed."),
    Outcome("veiled_whole", "Veiled as a whole", "ok", ExitStatus.OK, 3,
            "Nothing of the image is shown: no smaller veil was found, or the veil covers it all."),
    Outcome("left_out", "Flagged part left out", "ok", ExitStatus.OK, 2,
            "Only what is not released was flagged: another frame or view, or a thumbnail."),
    Outcome("veiled", "Veiled and verified", "ok", ExitStatus.OK, 1,
            "The unsafe regions are veiled; the released file scores below every threshold."),
    Outcome("clean", "Clean", "ok", ExitStatus.OK, 0,
            "No category flagged the image."),
)  # fmt: skip

OUTCOMES: Mapping[str, Outcome] = MappingProxyType({each.key: each for each in _OUTCOMES})
"""By key, the most severe first."""

SKIPPED = "skipped"
"""Key of the count of files that are no inputs; they have no record and change no exit status."""


def outcome(record: Record) -> Outcome:
    """What became of the image of a record."""
    if record.status != "ok":
        return next(each for each in _OUTCOMES if each.status == record.status)
    if not record.flagged:
        return OUTCOMES["clean"]
    results = [category.counterfactual for category in record.flagged]
    if all(result.outcome == "not_needed" for result in results):
        return OUTCOMES["left_out"]
    all_hidden = record.whole_image_veiled or any(r.area_fraction == 1 for r in results)
    return OUTCOMES["veiled_whole" if all_hidden else "veiled"]


def verified(record: Record) -> bool:
    """Whether every category was scored on the written file and is below its threshold."""
    return bool(record.categories) and all(c.counterfactual.verified for c in record.categories)


def exit_status(outcomes: Iterable[Outcome]) -> ExitStatus:
    """Exit status of a run that ended by itself."""
    return max((each.exit_status for each in outcomes), default=ExitStatus.OK)
