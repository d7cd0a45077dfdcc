"""Searches folders and globs for files; links to folders are not followed."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from counterveil.errors import UsageError
from counterveil.inputs.kinds import real_path, skip_reason
from counterveil.inputs.results import Results


@dataclass(frozen=True)
class Skipped:
    """One file that was found and is not examined.

    Attributes:
        path: of the file.
        name: the path below the folder that was asked for.
        reason: what the file is, such as ``a text file``.
    """

    path: Path
    name: str
    reason: str


class InputSearch:
    """Collects files by their real folder and name, so that each counts once."""

    def __init__(self, results: Results | None) -> None:
        self.found: dict[Path, tuple[Path, str]] = {}
        self.skipped: dict[Path, Skipped] = {}
        self._results = results
        self._real_folder = cache(real_path)

    def add(self, text: str, *, listed: bool = False) -> None:
        """Add what a path of the command line, or of a list, stands for."""
        path = Path(text)
        if _is_folder(text):
            self._add_folder(path, path)
        elif os.path.lexists(text):
            self._add_named(path)
        else:
            fixed, pattern = _split_pattern(path)
            # A folder of a glob is its fixed part: its files keep their folder in the name.
            matches = list(_matches(fixed, pattern)) if pattern and _is_folder(fixed) else []
            for match in matches:
                if _is_folder(match) and not match.is_symlink():
                    self._add_folder(match, fixed)
                else:
                    self._add_found(match, fixed)
            if not matches and not listed:
                raise UsageError(f"{text}: no such file, folder or match; check the path")
            if not matches:
                self._keep(path, path.name)

    def _add_named(self, path: Path) -> None:
        if self._results is None or not self._results.hold(self._entry(path)):
            self._keep(path, path.name)
        else:  # a shell expands *.png to the results of an earlier run, too
            self._skip(path, path.name, _RESULT)

    def _add_folder(self, folder: Path, root: Path) -> None:
        """Every file below a folder; links to folders and unreadable folders get records."""
        unread: list[OSError] = []
        found = []
        for where, folders, files in os.walk(folder, onerror=unread.append):
            here = Path(where)
            if self._is_left_out(here, root):
                folders.clear()
                continue
            links = [name for name in folders if (here / name).is_symlink()]
            found += [here / name for name in (*files, *links)]
        for path in sorted([*found, *(Path(error.filename) for error in unread)]):
            self._add_found(path, root)

    def _is_left_out(self, folder: Path, root: Path) -> bool:
        """Whether a folder is that of the results, below the folder that was asked for."""
        if self._results is None or self._real_folder(root) == self._results.folder:
            return False
        return self._real_folder(folder) == self._results.folder

    def _add_found(self, path: Path, root: Path) -> None:
        """Add one file found below ``root``, or skip it with a reason."""
        name = path.relative_to(root).as_posix() if path != root else path.name
        if self._results is not None:
            folder, entry = self._results.folder, self._entry(path)
            if folder in entry.parents:
                asked = self._real_folder(root)
                if folder not in (asked, *asked.parents):
                    return  # a glob reached into the folder of the results
                if self._results.hold(entry):
                    self._skip(path, name, _RESULT)
                    return
            elif path.is_symlink() and real_path(path) == folder:
                return
        reason = skip_reason(path)
        if reason:
            self._skip(path, name, reason)
        else:
            self._keep(path, name)

    def _keep(self, path: Path, name: str) -> None:
        entry = self._entry(path)
        self.skipped.pop(entry, None)  # a folder skipped it before it was named itself
        self.found.setdefault(entry, (path, name))

    def _skip(self, path: Path, name: str, reason: str) -> None:
        entry = self._entry(path)
        if entry not in self.found:
            self.skipped.setdefault(entry, Skipped(path, name, reason))

    def _entry(self, path: Path) -> Path:
        # Only the folder is resolved: a link to a file is a file of its own.
        return self._real_folder(path.parent) / path.name


_RESULT = "a result of an earlier run of Counterveil"


def _split_pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder before the first wildcard, and the pattern's parts from there on."""
    parts = path.parts
    first = next((k for k, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:first]), parts[first:]


def _matches(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Paths below a folder that match a glob's parts, as :func:`glob.glob` would match them.

    A link to a folder, and a folder that cannot be read, match where a search would enter them.
    """
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _matches(folder, rest)
        if not rest:  # the whole folder
            return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not first.startswith(".")
        if hidden or not (first == "**" or fnmatch.fnmatch(entry.name, first)):
            continue
        path = folder / entry.name
        if first != "**" and not rest:
            yield path
        elif entry.is_dir(follow_symlinks=False):
            yield from _matches(path, parts if first == "**" else rest)
        elif _is_folder(path):  # a link
            yield path


def _is_folder(path: Path | str) -> bool:
    # os.path returns False where Path raises: for a name that is too long, or a loop of links.
    return os.path.isdir(path)  # noqa: PTH112
