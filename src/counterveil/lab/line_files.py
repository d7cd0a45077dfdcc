"""Files with one line of JSON for each row: rows are appended at once, the last can be removed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterveil.atomic import write_atomic


def append_line(path: Path, row: Mapping[str, Any], *, prefix: str = "") -> None:
    """Append one line of JSON and wait until it is on disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{prefix}{json.dumps(row)}\n")
        file.flush()
        os.fsync(file.fileno())


def remove_line(path: Path, row: Mapping[str, Any]) -> bool:
    """Remove the last line that holds a row; returns whether there was one.

    All other bytes stay as they are. A crash leaves the old file or the new one.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    # From the end, because another person may have appended to the same file since.
    for number in reversed(range(len(lines))):
        if _row(lines[number]) == row:
            write_atomic(path, b"".join(lines[:number] + lines[number + 1 :]))
            return True
    return False


def _row(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # an interrupted write
        return None
