"""Files, folders and globs of the command line -> the list of inputs."""

from __future__ import annotations

import glob
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterveil.errors import UsageError


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
    image gets a record that says so, rather than being passed over in silence.

    Args:
        paths: files, folders or globs (``**`` works).
        leave_out: a folder whose files are not inputs, such as the results' own.

    Raises:
        UsageError: a path does not exist, or nothing at all was found.
    """
    outside = None if leave_out is None else leave_out.resolve()
    found: dict[Path, tuple[Path, str]] = {}
    for text in paths:
        for path, name in _expand(text):
            resolved = path.absolute()
            if outside is None or outside not in path.resolve().parents:
                found.setdefault(resolved, (path, name))
    if not found:
        raise UsageError(f"no file found in {', '.join(map(str, paths))}")
    return _with_stems(list(found.values()))


def _expand(text: str) -> Iterator[tuple[Path, str]]:
    path = Path(text)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if not file.is_dir():
                yield file, file.relative_to(path).as_posix()
    elif path.exists() or path.is_symlink():
        yield path, path.name
    else:
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise UsageError(f"{text}: no such file, folder or match; check the path")
        for match in matches:
            yield from _expand(match)


def _with_stems(files: list[tuple[Path, str]]) -> list[Input]:
    """Outputs of ``a/x.png`` and ``b/X.jpg`` must not overwrite each other."""
    shared = Counter(path.stem.casefold() for path, _ in files)
    taken: set[str] = set()
    inputs = []
    for path, name in files:
        stem = path.stem if shared[path.stem.casefold()] == 1 else f"{path.stem}-{_tag(path)}"
        while stem.casefold() in taken:
            stem += "_"
        taken.add(stem.casefold())
        inputs.append(Input(path, name, stem))
    return inputs


def _tag(path: Path) -> str:
    return hashlib.sha256(path.absolute().as_posix().encode()).hexdigest()[:8]
