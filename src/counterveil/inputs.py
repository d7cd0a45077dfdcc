"""Files, folders and globs of the command line become the list of inputs."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterveil.errors import UsageError

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


def find_inputs(paths: Sequence[str], *, exclude: Path | None = None) -> list[Input]:
    """Every file that was asked for, once, in order.

    A folder gives all files below it, whatever their extension: a file that is not an image gets a
    record that says so. The same holds for a link to a folder, which is not followed, and for a
    folder that cannot be read.

    Args:
        paths: files, folders or globs (``**`` works).
        exclude: files in this folder are not inputs; the folder of the results, for example.

    Raises:
        UsageError: a path does not exist, or no file was found.
    """
    outside = None if exclude is None else _real(exclude)
    found: dict[Path, tuple[Path, str]] = {}
    for text in paths:
        for path, name in _expand(text):
            real = _real(path)
            if outside is None or outside not in (real, *real.parents):
                found.setdefault(path.absolute(), (path, name))
    if not found:
        raise UsageError(f"no file found in {', '.join(map(str, paths))}")
    return _with_output_names(list(found.values()))


def _expand(text: str) -> Iterator[tuple[Path, str]]:
    path = Path(text)
    # os.path returns False where Path raises: a name that is too long does not exist.
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
    """Every file below a folder, and links to folders and unreadable folders: they get records."""
    unread: list[OSError] = []
    found = []
    for where, folders, files in os.walk(folder, onerror=unread.append):
        here = Path(where)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in (*files, *links)]
    return sorted([*found, *(Path(error.filename) for error in unread)])


def _real(path: Path) -> Path:
    """The path with links resolved; ``Path.resolve`` raises for a link to itself."""
    return Path(os.path.realpath(path))


def _with_output_names(files: list[tuple[Path, str]]) -> list[Input]:
    """Unique names: outputs of ``a/x.png`` and ``b/X.jpg`` must not overwrite each other."""
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
    """The name without its suffix; a name that is too long is cut and gets a hash."""
    data = os.fsencode(path.stem)
    if len(data) <= MAX_NAME_BYTES:
        return path.stem
    return f"{data[:MAX_NAME_BYTES].decode('utf-8', 'ignore')}-{_tag(path)}"


def _tag(path: Path) -> str:
    return hashlib.sha256(path.absolute().as_posix().encode()).hexdigest()[:8]
