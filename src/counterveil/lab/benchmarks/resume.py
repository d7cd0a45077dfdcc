"""What was measured so far, beside the figures, so that a long bench can be taken up again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from counterveil.atomic import write_atomic
from counterveil.errors import UsageError


class Saved:
    """Parts of a measurement, one a line, each on disk as soon as it is measured.

    Args:
        path: of the file; ``None`` keeps nothing.
        heading: what is measured; a file with another heading is not taken up.
        resume: take up the file where there is one, rather than start afresh.

    Raises:
        UsageError: the file to resume is of another measurement.
    """

    def __init__(self, path: Path | None, heading: Mapping[str, Any], *, resume: bool) -> None:
        self._path = path
        self._parts: dict[str, Any] = {}
        if path is None:
            return
        lines = _whole_lines(path) if resume and path.exists() else []
        if lines and lines[0] != _plain(heading):
            raise UsageError(
                f"{path} holds a measurement with other settings; run it with those, or without "
                "--resume to start afresh"
            )
        self._parts = {line["part"]: line["value"] for line in lines[1:]}
        # Written anew: a run that was cut off may have left half a line.
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines or [_plain(heading)])
        write_atomic(path, text.encode())

    def once(self, part: str, measure: Callable[[], Any]) -> Any:
        """A part of the measurement, as plain data: as it was saved, or measured and saved."""
        if part not in self._parts:
            self._parts[part] = _plain(measure())
            self._append({"part": part, "value": self._parts[part]})
        return self._parts[part]

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    def remove(self) -> None:
        """Once the figures themselves are written."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _whole_lines(path: Path) -> list[Any]:
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
