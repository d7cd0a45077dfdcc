"""Files, folders and globs of the command line -> the list of inputs."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterveil.errors import UsageError

LONGEST = 200
"""Bytes of a stem at most: file systems allow names of 255, some of them fewer, and outputs add
to the stem."""


@dataclass(frozen=True)
class Input:
    """One file to examine.

    Attributes:
        path: where it is.
        name: what the record calls it: its path below what was asked for.
        stem: unique start of the names of its outputs.
    """

    path: Path
    name: str
    stem: str


def find(paths: Sequence[str], *, leave_out: Path | None = None) -> list[Input]:
    """Every file asked for, once, in order.

    A folder gives all files below it, whatever their extension: a file that turns out to be no
    image gets a record that says so, rather than being passed over in silence. So does a link to
    a folder, which is not followed, and a folder that cannot be read.

    Args:
        paths: files, folders or globs (``**`` works).
        leave_out: a folder whose files are not inputs, such as the results' own.

    Raises:
        UsageError: a path does not exist, or nothing at all was found.
    """
    outside = None if leave_out is None else _real(leave_out)
    found: dict[Path, tuple[Path, str]] = {}
    for text in paths:
        for path, name in _expand(text):
            real = _real(path)
            if outside is None or outside not in (real, *real.parents):
                found.setdefault(path.absolute(), (path, name))
    if not found:
        raise UsageError(f"no file found in {', '.join(map(str, paths))}")
    return _with_stems(list(found.values()))


def _expand(text: str) -> Iterator[tuple[Path, str]]:
    path = Path(text)
    # os.path answers where Path raises: a name that is too long is merely not there.
    if os.path.isdir(text):  # noqa: PTH112
        for file in _below(path):
            yield file, file.relative_to(path).as_posix()
    elif os.path.lexists(text):
        yield path, path.name
    else:
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise UsageError(f"{text}: no such file, folder or match; check the path")
        for match in matches:
            yield from _expand(match)


def _below(folder: Path) -> list[Path]:
    """Every file below a folder, and what is left out: links to folders, unreadable folders."""
    unread: list[OSError] = []
    found = []
    for where, folders, files in os.walk(folder, onerror=unread.append):
        here = Path(where)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in (*files, *links)]
    return sorted([*found, *(Path(error.filename) for error in unread)])


def _real(path: Path) -> Path:
    """Links resolved as far as can be; ``Path.resolve`` raises for one that leads to itself."""
    return Path(os.path.realpath(path))


def _with_stems(files: list[tuple[Path, str]]) -> list[Input]:
    """Outputs of ``a/x.png`` and ``b/X.jpg`` must not overwrite each other."""
    stems = [_stem(path) for path, _ in files]
    shared = Counter(stem.casefold() for stem in stems)
    taken: set[str] = set()
    inputs = []
    for (path, name), stem in zip(files, stems, strict=True):
        if shared[stem.casefold()] > 1:
            stem = f"{stem}-{_tag(path)}"
        while stem.casefold() in taken:
            stem += "_"
        taken.add(stem.casefold())
        inputs.append(Input(path, name, stem))
    return inputs


def _stem(path: Path) -> str:
    """The name without its ending; one that is too long is cut and told apart by a hash."""
    data = os.fsencode(path.stem)
    if len(data) <= LONGEST:
        return path.stem
    return f"{data[:LONGEST].decode('utf-8', 'ignore')}-{_tag(path)}"


def _tag(path: Path) -> str:
    return hashlib.sha256(path.absolute().as_posix().encode()).hexdigest()[:8]
