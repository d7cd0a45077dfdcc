"""Human evaluation in the terminal: asks one person after the other, and can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.judgements import Judgement, Judgements, Verdict
from counterveil.lab.benchmarks.samples import Item

_KEYS: Mapping[str, Verdict] = {"y": "yes", "n": "no", "?": "unsure"}
_HELP = "y yes, n no, ? cannot tell, b back to the one before, q stop here"


def annotate(
    items: Sequence[Item],
    store: Judgements,
    annotator: str,
    *,
    ask: Callable[[str], str],
    say: Callable[[str], None],
) -> int:
    """Ask one person about each item that they have not judged; how many are left.

    They end it by ``q``, by closing the input, or by interrupting; what was judged is kept.

    Args:
        items: to be judged.
        store: where judgements go.
        annotator: who is asked.
        ask: shows a prompt and returns a line; raises ``EOFError`` at the end.
        say: shows a text.

    Raises:
        UsageError: the annotator has no name.
    """
    if not annotator.strip():
        raise UsageError("an annotator needs a name: --annotate NAME")
    judged = store.of(items)
    todo = [item for item in _ordered(items, annotator) if annotator not in judged[item]]
    say(f"{len(todo)} of {len(items)} left for {annotator}: {_HELP}")
    at = 0
    try:
        while at < len(todo):
            say(_card(todo[at], at + 1, len(todo)))
            key = _key(ask, say)
            if key == "q":
                break
            if key == "b":
                at = max(0, at - 1)
                continue
            item, at = todo[at], at + 1
            verdict = _KEYS[key]
            store.add(Judgement(item.sample, item.question, annotator, verdict, item.digest))
    except (EOFError, KeyboardInterrupt):
        say("stopped; what was judged is kept")
    return sum(annotator not in verdicts for verdicts in store.of(items).values())


def _ordered(items: Sequence[Item], annotator: str) -> list[Item]:
    """An order of the annotator's own, the same each time, so that no item is always the last.

    What belongs to one picture stays together.
    """

    def place(*names: str) -> str:
        return sha256("\0".join((annotator, *names)).encode()).hexdigest()

    return sorted(items, key=lambda i: (place(i.sample), place(i.sample, i.question)))


def _card(item: Item, number: int, total: int) -> str:
    return f"\n[{number}/{total}] {item.shown}\n  “{item.words}”\n{item.asked}"


def _key(ask: Callable[[str], str], say: Callable[[str], None]) -> str:
    while True:
        key = ask("y/n/?/b/q").strip().lower()[:1]
        if key in {*_KEYS, "b", "q"}:
            return key
        say(_HELP)
