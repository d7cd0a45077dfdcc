"""The judgements that people made, on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.samples import Item

Verdict = Literal["yes", "no", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Judgement:
    """One line of the store.

    Attributes:
        sample: of the item.
        question: of the item.
        annotator: whose it is.
        verdict: theirs.
        digest: of the words that were judged.
    """

    sample: str
    question: str
    annotator: str
    verdict: Verdict
    digest: str


class Judgements:
    """A file of judgements, one a line, each on disk as soon as it is made; only appended to.

    Who judges an item again appends; the last judgement counts. Several people may share a file.

    Args:
        path: of the file, made where it does not exist.

    Raises:
        UsageError: the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8") if path.exists() else ""
        self.all = list(_parsed(text, path))
        self._torn = bool(text) and not text.endswith("\n")

    def add(self, judgement: Judgement) -> None:
        """Append one."""
        line = json.dumps(asdict(judgement)) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            # What was cut off within a line stays a line of its own, which nobody can read.
            file.write("\n" + line if self._torn else line)
            file.flush()
            os.fsync(file.fileno())
        self._torn = False
        self.all.append(judgement)

    def of(self, items: Sequence[Item]) -> dict[Item, dict[str, Verdict]]:
        """What counts: of each item, each annotator's last verdict on just these words."""
        known = {(item.sample, item.question, item.digest): item for item in items}
        found: dict[Item, dict[str, Verdict]] = {item: {} for item in items}
        for one in self.all:
            item = known.get((one.sample, one.question, one.digest))
            if item is not None:
                found[item][one.annotator] = one.verdict
        return found


def _parsed(text: str, path: Path) -> Iterator[Judgement]:
    lines = [line for line in text.splitlines() if line.strip()]
    found = []
    for line in lines:
        try:
            found.append(Judgement(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # cut off within a line
    if lines and not found and len(lines) > 1:
        raise UsageError(f"{path} holds no judgements; name another file with --out")
    yield from found
