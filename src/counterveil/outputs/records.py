"""``records.jsonl``: one line for each image, written when the image is done."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from counterveil.atomic import atomic_file
from counterveil.record import SCHEMA_VERSION, Record
from counterveil.serialization import from_plain


class RecordFile:
    """Appends lines, and keeps where each stands. Memory holds no record.

    Args:
        path: of the file; made if it does not exist. Lines that are there stay; they must be whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}  # output name -> offset, length
        self._size = 0

    def add(self, record: Record) -> None:
        """Append one line and bring it to the disk.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        line = _line(record)
        # Opened for each line: an image takes a thousand times as long, and no handle stays open.
        with self.path.open("ab", buffering=0) as file:
            try:
                if file.write(line) != len(line):  # only a part of it went onto the disk
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(self._size)
                raise
        self._places[record.output_name] = (self._size, len(line))
        self._size += len(line)

    def keep(self, records: Iterable[Record]) -> None:
        """Start over with some records."""
        self._places, self._size = {}, 0
        with atomic_file(self.path) as file:
            for record in records:
                line = _line(record)
                file.write(line)
                self._places[record.output_name] = (self._size, len(line))
                self._size += len(line)

    def sort(self, output_names: Iterable[str]) -> None:
        """Bring the lines into this order, without names that have no line. Call it last."""
        wanted = [name for name in output_names if name in self._places]
        if wanted == list(self._places):
            return
        with self.path.open("rb") as file, atomic_file(self.path) as sorted_file:
            for name in wanted:
                offset, length = self._places[name]
                file.seek(offset)
                sorted_file.write(file.read(length))

    def __contains__(self, output_name: str) -> bool:
        return output_name in self._places

    def __len__(self) -> int:
        return len(self._places)


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, the last of each name; torn and foreign lines are left out."""
    last: dict[str, int] = {}
    for offset, record in _read(path):
        last[record.output_name] = offset
    for offset, record in _read(path):
        if last[record.output_name] == offset:
            yield record


def _read(path: Path) -> Iterator[tuple[int, Record]]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        offset = 0
        for line in file:
            with suppress(ValueError, LookupError, TypeError, AttributeError):
                value = json.loads(line) if line.endswith(b"\n") else {}
                if value["schema_version"] == SCHEMA_VERSION:
                    yield offset, from_plain(Record, value)
            offset += len(line)


def _line(record: Record) -> bytes:
    return f"{record.to_json()}\n".encode()
