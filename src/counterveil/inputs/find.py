"""Finds the inputs of a run, and gives each its name in records and files."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterveil.errors import UsageError
from counterveil.inputs.results import Results
from counterveil.inputs.search import InputSearch, Skipped

MAX_NAME_BYTES = 200
"""Longest start of an output name: file systems allow 255 bytes or fewer, and suffixes follow."""


@dataclass(frozen=True)
class Input:
    """One file to examine.

    Attributes:
        path: of the file.
        name: in the record: the path below the folder that was asked for.
        output_name: unique start of the names of its output files.
    """

    path: Path
    name: str
    output_name: str


@dataclass(frozen=True)
class FoundInputs:
    """What was found, in order."""

    inputs: tuple[Input, ...]
    skipped: tuple[Skipped, ...] = ()


def find_inputs(
    paths: Sequence[str], *, exclude: Path | None = None, files_from: str | None = None
) -> FoundInputs:
    """Every file that was asked for, once, in order.

    A folder gives the files below it, a glob those that match. Text files and files of the
    operating system are skipped there, unless their suffix is that of an image. Whatever else
    cannot be examined is an input all the same and gets a record that says why: an unknown
    format, a link to a folder (which is not followed), a folder that cannot be read. A file that
    is named itself is always an input.

    Names are paths below the folder or below the fixed part of the glob. Where two of them would
    be equal, all are paths below the folder that holds every input.

    Args:
        paths: files, folders or globs (``**`` works).
        exclude: the folder of the results. It is left out of a folder that contains it. Where it
            holds the inputs itself, only the results of an earlier run are skipped.
        files_from: file with further paths, ``-`` for standard input; see :func:`read_paths`.
            Listed files that do not exist are inputs, so that one of them does not end a batch.

    Raises:
        UsageError: a path does not exist or names a result, or no file was found.
    """
    search = InputSearch(None if exclude is None else Results(exclude))
    for text in paths:
        search.add(text)
    for text in [] if files_from is None else read_paths(files_from):
        search.add(text, listed=True)
    if not search.found:
        raise UsageError(_nothing_found(paths, files_from, search.skipped))
    return FoundInputs(_inputs(search.found), tuple(search.skipped.values()))


def read_paths(source: str) -> list[str]:
    """The paths in a file, or on standard input for ``-``.

    One in a line, or ended by NUL if there is any, as ``find -print0`` writes them. Bytes that
    are not UTF-8 are kept. Empty lines are ignored; there are no comments.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{source}: the list of paths cannot be read ({reason})") from error
    lines = (
        data.split(b"\0") if b"\0" in data else [line.rstrip(b"\r") for line in data.split(b"\n")]
    )
    return [os.fsdecode(line) for line in lines if line]


def _nothing_found(
    paths: Sequence[str], files_from: str | None, skipped: Mapping[Path, Skipped]
) -> str:
    if not paths and files_from is None:
        return "name files, folders or globs, or a list of them with --files-from"
    sources = [*paths, *([] if files_from is None else [f"the list {files_from}"])]
    message = f"no file found in {', '.join(sources)}"
    if not skipped:
        return message
    counts = Counter(file.reason for file in skipped.values())
    reasons = ", ".join(f"{reason} ({count})" for reason, count in counts.items())
    return f"{message}; {len(skipped)} skipped: {reasons}; name a file itself to examine it"


def _inputs(found: Mapping[Path, tuple[Path, str]]) -> tuple[Input, ...]:
    """Unique names: outputs of ``a/x.png`` and ``b/X.jpg`` must not overwrite each other."""
    names = _distinct_names(found)
    paths = [path for path, _ in found.values()]
    stems = [_stem(path) for path in paths]
    shared = Counter(stem.casefold() for stem in stems)
    taken: set[str] = set()
    inputs = []
    for path, name, stem in zip(paths, names, stems, strict=True):
        if shared[stem.casefold()] > 1:
            stem = f"{stem}-{_tag(path)}"
        while stem.casefold() in taken:
            stem += "_"
        taken.add(stem.casefold())
        inputs.append(Input(path, name, stem))
    return tuple(inputs)


def _distinct_names(found: Mapping[Path, tuple[Path, str]]) -> list[str]:
    names = [name for _, name in found.values()]
    if len(set(names)) == len(names):
        return names
    try:
        common = os.path.commonpath([entry.parent for entry in found])
    except ValueError:  # several drives of Windows
        return [entry.as_posix() for entry in found]
    return [entry.relative_to(common).as_posix() for entry in found]


def _stem(path: Path) -> str:
    """The name without its suffix; a name that is too long is cut and gets a hash."""
    data = os.fsencode(path.stem)
    if len(data) <= MAX_NAME_BYTES:
        return path.stem
    return f"{data[:MAX_NAME_BYTES].decode('utf-8', 'ignore')}-{_tag(path)}"


def _tag(path: Path) -> str:
    # Not str.encode: a name that is not UTF-8 has no encoding but the file system's.
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:8]
