"""Partial results of a benchmark on disk, so that it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from counterveil.atomic import write_atomic
from counterveil.errors import UsageError
from counterveil.lab.line_files import append_line

Step = Callable[[], None]
"""Advances a progress bar by one."""

Measure = Callable[[range], Iterable[Any]]
"""Measures some items, one after the other."""


class Checkpoint:
    """A file with one line per finished part, written as soon as the part is measured.

    Args:
        path: the file; ``None`` stores nothing.
        header: settings of the benchmark.
        resume: read the file if it exists, instead of starting over.
        step: called after each item, measured or read.

    Raises:
        UsageError: the file to resume has another header.
    """

    def __init__(
        self,
        path: Path | None = None,
        header: Mapping[str, Any] | None = None,
        *,
        resume: bool = False,
        step: Step = lambda: None,
    ) -> None:
        self._path, self._step = path, step
        self._parts: dict[str, Any] = {}
        if path is None:
            return
        expected = _as_json(header or {})
        lines = _complete_lines(path) if resume and path.exists() else []
        if lines and lines[0] != expected:
            raise UsageError(
                f"{path} belongs to a measurement with other settings; repeat those settings, or "
                "leave out --resume to start over"
            )
        self._parts = {line["part"]: line["value"] for line in lines[1:]}
        # Rewritten, because an interrupted run may have left half a line.
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines or [expected])
        write_atomic(path, text.encode())

    def measure(
        self, name: str, count: int, measure: Measure, *, chunk_size: int = 10
    ) -> list[Any]:
        """Measure items 0 to ``count``; each chunk of them is one part of the file.

        Args:
            name: start of the parts' names.
            count: number of items.
            measure: measures some items one by one.
            chunk_size: items per part.

        Returns:
            One value per item, as JSON data.
        """
        values: list[Any] = []
        for start in range(0, count, chunk_size):
            items = range(start, min(start + chunk_size, count))
            part = f"{name}, {items.start} to {items.stop}"
            stored = self._parts.get(part)
            chunk = []
            for value in measure(items) if stored is None else stored:
                chunk.append(_as_json(value))
                self._step()
            if stored is None:
                self._parts[part] = chunk
                if self._path is not None:
                    append_line(self._path, {"part": part, "value": chunk})
            values += chunk
        return values


def _as_json(value: Any) -> Any:
    # A measured value must equal the same value read from the file (tuples become lists).
    return json.loads(json.dumps(value))


def _complete_lines(path: Path) -> list[Any]:
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
