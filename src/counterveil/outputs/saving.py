"""Writes the files of one examination."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from counterveil import report
from counterveil.images import Limits, decode_clean, load
from counterveil.inputs.results import RESULT_SUFFIXES
from counterveil.pipeline import Examination
from counterveil.record import Record

_ONE_FILE = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
"""Errors that are about the name of one file; with any other, the next file fails, too."""


@dataclass(frozen=True)
class SavedExamination:
    """An examination whose files are written.

    Attributes:
        record: as it was written.
        view: pictures for the report; ``None`` if nothing was released.
        machine_error: why the machine cannot write results any more; empty if it can.
    """

    record: Record
    view: report.View | None = None
    machine_error: str = ""


def save(examination: Examination, folder: Path) -> SavedExamination:
    """Write the files of one examination; if that fails, none of them stays.

    The record of an examination that cannot be written has the status ``not_assessed``, so that
    ``--resume`` tries again.
    """
    try:
        examination.save(folder)
        return SavedExamination(examination.record, _view(examination))
    except OSError as error:
        remove(folder, examination.output_name)
        problem = f"its results could not be written ({error.strerror or error})"
        record = Record.from_error(
            examination.record.source,
            problem,
            profile=examination.record.profile,
            output_name=examination.output_name,
            status="not_assessed",
            not_covered=examination.record.not_covered,
            settings=examination.record.settings,
        )
        with suppress(OSError):  # the line in records.jsonl follows in any case
            Examination(record).save(folder)
        reason = "" if error.errno in _ONE_FILE else f"{folder}: {error.strerror or error}"
        return SavedExamination(record, machine_error=reason)


def remove(folder: Path, output_name: str) -> None:
    """Remove the files of one examination, as far as they can be removed."""
    for suffix in RESULT_SUFFIXES:
        with suppress(OSError):
            (folder / f"{output_name}{suffix}").unlink(missing_ok=True)


def _view(examination: Examination) -> report.View | None:
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
