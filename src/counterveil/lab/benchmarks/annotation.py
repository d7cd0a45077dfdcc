"""Human evaluation: samples, judgements on disk, what is left to judge, and agreement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.bootstrap import bootstrap_kappa, bootstrap_mean
from counterveil.lab.line_files import append_line, remove_line
from counterveil.lab.reviewing import Draft, Task

DESCRIPTION_QUESTION = "Do these words suffice to tell what kind of picture it is?"
"""The paper's first phase; asked about a description."""
ANSWER_QUESTION = "Is this answer right?"
"""The paper's second phase; asked about the answer to a moderation question."""
PANEL_SIZE = 3
"""Annotators whose majority counts, as in the paper; fewer if there are fewer."""

Verdict = Literal["yes", "no", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_KEYS: Mapping[str, Verdict] = {"y": "yes", "n": "no", "?": "unsure"}
_ALL = "all"


@dataclass(frozen=True)
class Item:
    """One question to an annotator.

    Attributes:
        sample: identifies the picture.
        question: question or condition by which results are grouped.
        prompt: question to the annotator about ``words``.
        shown: what else the annotator sees: the true answer, or the path of the picture.
    """

    sample: str
    question: str
    prompt: str
    words: str
    shown: str

    @property
    def digest(self) -> str:
        """Hash of what is judged; a judgement of other words does not count."""
        return sha256("\0".join((self.prompt, self.words)).encode()).hexdigest()[:16]


def read_items(path: Path, *, originals: Path | None = None) -> list[Item]:
    """Items of the JSON file of ``bench reasoning``, or of ``records.jsonl`` of ``run``.

    The words of a record are judged with its veiled picture, or with that in ``originals``.

    Raises:
        UsageError: the file cannot be read, or has nothing to judge.
    """
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".jsonl":
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
            items = [i for one in records for i in _record_items(one, path.parent, originals)]
        else:
            samples = json.loads(text)["annotation_samples"]
            items = [i for number, one in enumerate(samples) for i in _scene_items(number, one)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} holds no samples; name the JSON file of `counterveil bench reasoning`, or "
            "records.jsonl of `counterveil run`"
        ) from error
    if not items:
        raise UsageError(f"{path} holds no words to judge; run it with a reasoner")
    return items


def _scene_items(number: int, sample: Mapping[str, Any]) -> Iterator[Item]:
    """Descriptions and answers about one scene; the condition is not shown to the annotator."""
    name, shown = f"{number}: {sample['scene']}", f"{sample['scene']}. {sample['truth']}"
    for condition, words in sample["descriptions"].items():
        yield Item(name, condition, DESCRIPTION_QUESTION, str(words), shown)
    yield from _answer_items(name, sample["answers"], shown)


def _record_items(
    record: Mapping[str, Any], folder: Path, originals: Path | None
) -> Iterator[Item]:
    rationale = record["rationale"]
    if not rationale or not record["outputs"]:
        return
    # Source names may repeat within a run; names of output files do not.
    name = record["outputs"]["veiled"]["name"]
    shown = str(folder / name if originals is None else originals / record["source"]["name"])
    if rationale["description"]:
        yield Item(name, "description", DESCRIPTION_QUESTION, rationale["description"], shown)
    yield from _answer_items(name, rationale["answers"], shown)


def _answer_items(sample: str, answers: Sequence[Mapping[str, Any]], shown: str) -> Iterator[Item]:
    for answer in answers:
        if answer["p_yes"] is not None:
            words = answer.get("answer") or ("Yes." if answer["p_yes"] >= 0.5 else "No.")
            prompt = f"{answer['question']} {ANSWER_QUESTION}"
            yield Item(sample, answer["question"], prompt, words, shown)


@dataclass(frozen=True)
class Judgement:
    """One line of a judgement file; ``digest`` is the hash of the words that were judged."""

    sample: str
    question: str
    annotator: str
    verdict: Verdict
    digest: str


class JudgementFile:
    """Judgements, one per line, written at once; only a judgement that is undone is removed.

    An annotator's last judgement of an item counts. Several annotators may share a file.

    Raises:
        UsageError: the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8") if path.exists() else ""
        self.judgements = _parse(text, path)
        self._ends_within_line = bool(text) and not text.endswith("\n")

    def add(self, judgement: Judgement) -> None:
        """Append a judgement."""
        # An interrupted write stays a line of its own, which is skipped when reading.
        prefix = "\n" if self._ends_within_line else ""
        append_line(self._path, asdict(judgement), prefix=prefix)
        self._ends_within_line = False
        self.judgements.append(judgement)

    def remove(self, judgement: Judgement) -> None:
        """Remove the last line that holds a judgement."""
        remove_line(self._path, asdict(judgement))
        # Of equal judgements the last one goes, in the file and here.
        last = len(self.judgements) - 1 - self.judgements[::-1].index(judgement)
        del self.judgements[last]

    def verdicts(self, items: Sequence[Item]) -> dict[Item, dict[str, Verdict]]:
        """The last verdict of each annotator on the current words of each item."""
        by_key = {(item.sample, item.question, item.digest): item for item in items}
        verdicts: dict[Item, dict[str, Verdict]] = {item: {} for item in items}
        for one in self.judgements:
            item = by_key.get((one.sample, one.question, one.digest))
            if item is not None:
                verdicts[item][one.annotator] = one.verdict
        return verdicts


def _parse(text: str, path: Path) -> list[Judgement]:
    lines = [line for line in text.splitlines() if line.strip()]
    judgements = []
    for line in lines:
        try:
            judgements.append(Judgement(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # an interrupted write
    if len(lines) > 1 and not judgements:
        raise UsageError(f"{path} holds no judgements; name another file with --out")
    return judgements


class JudgementQueue:
    """The items that one annotator has not judged; see :class:`counterveil.lab.reviewing.Queue`.

    Args:
        items: items to judge.
        file: where judgements are stored.
        annotator: name of the annotator.

    Raises:
        UsageError: the name is empty.
    """

    keys = "y = yes, n = no, ? = cannot tell"

    def __init__(self, items: Sequence[Item], file: JudgementFile, annotator: str) -> None:
        if not annotator.strip():
            raise UsageError("the annotator needs a name: --annotator NAME")
        self._items, self._file, self._annotator = _shuffled(items, annotator), file, annotator

    @property
    def left(self) -> int:
        """Number of items without a judgement of the annotator."""
        return len(self._open())

    def task(self) -> Task | None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        left = self._open()
        if not left:
            return None
        number = len(self._items) - len(left) + 1
        heading = f"[{number}/{len(self._items)}] {left[0].shown}"
        return Task(heading, f"“{left[0].words}”\n  {left[0].prompt}")

    def choose(self, draft: Draft | None, key: str) -> Draft | None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        return Draft(_KEYS[key]) if key in _KEYS else None

    def write(self, draft: Draft | None, words: str) -> Draft | None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        return Draft(words.lower()) if words.lower() in VERDICTS else None

    def save(self, draft: Draft) -> None:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        item = self._open()[0]
        verdict: Verdict = draft.text  # type: ignore[assignment]
        self._file.add(Judgement(item.sample, item.question, self._annotator, verdict, item.digest))

    def undo(self) -> str:
        """See :class:`counterveil.lab.reviewing.Queue`."""
        by_key = {(item.sample, item.question, item.digest): item for item in self._items}
        for one in reversed(self._file.judgements):
            item = by_key.get((one.sample, one.question, one.digest))
            if item is not None and one.annotator == self._annotator:
                self._file.remove(one)
                return f"“{item.words}”"
        return ""

    def _open(self) -> list[Item]:
        verdicts = self._file.verdicts(self._items)
        return [item for item in self._items if self._annotator not in verdicts[item]]


def _shuffled(items: Sequence[Item], annotator: str) -> list[Item]:
    """A fixed random order for each annotator; items of one picture stay together."""

    def digest(*names: str) -> str:
        return sha256("\0".join((annotator, *names)).encode()).hexdigest()

    return sorted(items, key=lambda i: (digest(i.sample), digest(i.sample, i.question)))


def summarise(items: Sequence[Item], file: JudgementFile) -> dict[str, Any]:
    """Majority and agreement for each question and for all of them, as JSON data.

    An item counts when ``PANEL_SIZE`` annotators have judged it (or all, if there are fewer). It
    is correct if more than half of them said yes, incorrect if more than half said no, and
    undecided otherwise.
    """
    verdicts = file.verdicts(items)
    annotators = sorted({name for each in verdicts.values() for name in each})
    panel = min(PANEL_SIZE, max(1, len(annotators)))
    rows: dict[str, Any] = {}
    for question in [*dict.fromkeys(item.question for item in items), _ALL]:
        own = [each for item, each in verdicts.items() if question in (item.question, _ALL)]
        rows[question] = _summary_row([list(each.values()) for each in own], panel)
    return {"annotators": annotators, "panel": panel, "questions": rows}


def _summary_row(votes: Sequence[Sequence[Verdict]], panel: int) -> dict[str, Any]:
    judged = [each for each in votes if len(each) >= panel]
    majorities = [_majority(each) for each in judged]
    correct = [float(verdict == "yes") for verdict in majorities if verdict in ("yes", "no")]
    counts = np.array([[list(each).count(v) for v in VERDICTS] for each in judged], int)
    return {
        "items": len(votes),
        "judged": len(judged),
        "undecided": len(judged) - len(correct),
        "correct": bootstrap_mean(correct).to_dict(),
        "kappa": bootstrap_kappa(counts.reshape(-1, len(VERDICTS))).to_dict(),
    }


def _majority(votes: Sequence[Verdict]) -> Verdict | None:
    verdict, count = Counter(votes).most_common(1)[0]
    return verdict if 2 * count > len(votes) else None
