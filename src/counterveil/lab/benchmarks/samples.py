"""What people are asked to judge: words about pictures, from a bench or from a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from counterveil.errors import UsageError

COARSE = "Do these words suffice to tell what kind of picture it is?"
"""The paper's first phase, asked of a description."""
FINE = "Is this answer right?"
"""The paper's second phase, asked of the answer to a moderator's question."""
DESCRIPTION = "description"


@dataclass(frozen=True)
class Item:
    """One judgement to be made.

    Attributes:
        sample: which picture.
        question: what the words answer; judgements are counted by it.
        asked: of the annotator.
        words: to be judged.
        shown: what else the annotator sees: the truth, or where the picture is.
    """

    sample: str
    question: str
    asked: str
    words: str
    shown: str

    @property
    def digest(self) -> str:
        """Of what is judged; a judgement of other words does not count."""
        return sha256("\0".join((self.asked, self.words)).encode()).hexdigest()[:16]


def read(path: Path, *, originals: Path | None = None) -> list[Item]:
    """The items of a file: the JSON of ``bench reasoning``, or ``records.jsonl`` of ``run``.

    Words on a record are judged against its veiled picture, which lies beside the records.

    Args:
        path: the file.
        originals: folder of the pictures as they came, to be shown instead of the veiled ones.

    Raises:
        UsageError: the file cannot be read, or holds nothing to judge.
    """
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".jsonl":
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
            items = [item for one in records for item in _of_record(one, path.parent, originals)]
        else:
            rows = json.loads(text)["to_judge"]
            items = [item for at, row in enumerate(rows) for item in _of_bench(at, row)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} holds no samples: name the JSON of `counterveil bench reasoning`, or "
            "records.jsonl of `counterveil run`"
        ) from error
    if not items:
        raise UsageError(f"{path} holds no words to judge; run it with a reasoner")
    return items


def _of_bench(at: int, row: Mapping[str, Any]) -> Iterator[Item]:
    """Each condition's words on one scene; which condition spoke is not shown."""
    sample, shown = f"{at}: {row['scene']}", f"{row['scene']}. {row['truth']}"
    for condition, words in row["descriptions"].items():
        yield Item(sample, condition, COARSE, str(words), shown)
    yield from _answers(sample, row["answers"], shown)


def _of_record(record: Mapping[str, Any], folder: Path, originals: Path | None) -> Iterator[Item]:
    told = record["rationale"]
    if not told or not record["outputs"]:
        return
    # Names may repeat in a run; what was written for each does not.
    sample, veiled = (
        record["outputs"]["veiled"]["name"],
        folder / record["outputs"]["veiled"]["name"],
    )
    shown = str(veiled if originals is None else originals / record["source"]["name"])
    if told["description"]:
        yield Item(sample, DESCRIPTION, COARSE, told["description"], shown)
    yield from _answers(sample, told["answers"], shown)


def _answers(sample: str, answers: Sequence[Mapping[str, Any]], shown: str) -> Iterator[Item]:
    for answer in answers:
        if answer["p_yes"] is not None:
            words = answer.get("answer") or ("Yes." if answer["p_yes"] >= 0.5 else "No.")
            asked = f"{answer['question']} {FINE}"
            yield Item(sample, answer["question"], asked, words, shown)
