"""One dialogue for all that a person reviews in the terminal: answers, and judgements of words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Ask = Callable[[str], str]
"""Shows a prompt and returns a line; raises ``EOFError`` at the end of the input."""
Show = Callable[[str], None]
"""Shows a text on lines of its own."""

_LITERAL = "="
"""Before words that would otherwise be a command."""


@dataclass(frozen=True)
class Draft:
    """What will be saved.

    Attributes:
        text: an answer or a verdict.
        yes: whether an answer is yes; ``None`` where that has no meaning.
    """

    text: str
    yes: bool | None = None

    def __str__(self) -> str:
        return f"“{self.text}”" + ("" if self.yes is None else " (yes)" if self.yes else " (no)")


@dataclass(frozen=True)
class Task:
    """One thing to review.

    Attributes:
        heading: what the thing belongs to; shown when it changes.
        question: what is asked.
        draft: what is saved if the person changes nothing; ``None``: they must choose.
        image: to be opened when the heading changes; empty if there is none.
    """

    heading: str
    question: str
    draft: Draft | None = None
    image: str = ""


class Queue(Protocol):
    """What is left to review, and the file that reviews are written to at once."""

    keys: str
    """What a person may type to change the draft, for the help line."""

    def task(self) -> Task | None:
        """The first thing without a review; ``None`` if nothing is left."""

    def choose(self, draft: Draft | None, key: str) -> Draft | None:
        """The draft after a single character; ``None`` if it means nothing here."""

    def write(self, draft: Draft | None, words: str) -> Draft | None:
        """The draft after words; ``None`` if they cannot be saved here."""

    def save(self, draft: Draft) -> None:
        """Write the review of the current task."""

    def undo(self) -> str:
        """Remove the last review; returns what it was about, empty if there is none."""


def review(
    queue: Queue,
    *,
    ask: Ask,
    show: Show,
    open_image: Callable[[str], None] | None = None,
    reveal: Callable[[str], None] | None = None,
) -> None:
    """Ask about each task until none is left or the person stops.

    Every prompt takes the same commands. The person stops with ``q``, by closing the input, or by
    interrupting; all reviews until then are saved.

    Args:
        queue: what is reviewed.
        ask: reads a line.
        show: shows a text.
        open_image: opens the image of a task, concealed.
        reveal: opens it as it is.
    """
    heading = ""
    try:
        while True:
            task = queue.task()
            if task is None:
                # Asked once more, because the last review of all can be undone, too.
                if not _undo_at_end(queue, ask, show):
                    break
                continue
            if task.heading != heading:
                heading = task.heading
                show(f"\n{heading}")
                if open_image is not None and task.image:
                    open_image(task.image)
            if not _review_task(queue, task, ask, show, reveal):
                break
    except (EOFError, KeyboardInterrupt):
        show("\nStopped; all reviews so far are saved.")


def _undo_at_end(queue: Queue, ask: Ask, show: Show) -> bool:
    """Whether the last review was undone when nothing was left."""
    show("\nNothing is left to review.")
    while True:
        key = _read_line("  Enter = end, u = undo, q = stop: ", ask, show)
        if key.lower() in ("", "q"):
            return False
        if key.lower() != "u":
            show(_not_understood(key))
        elif _undo(queue, show):
            return True


def _undo(queue: Queue, show: Show) -> bool:
    undone = queue.undo()
    show(f"  Undone: {undone}" if undone else "  There is no review to undo.")
    return bool(undone)


def _review_task(
    queue: Queue, task: Task, ask: Ask, show: Show, reveal: Callable[[str], None] | None
) -> bool:
    """Ask until the draft is saved or the last review is undone; ``False`` to stop."""
    show(f"  {task.question}")
    draft = task.draft
    while True:
        key = _read(draft, queue.keys, ask, show, can_reveal=reveal is not None)
        command = key.lower()
        if command == "q":
            return False
        if command == "r" and reveal is not None:
            reveal(task.image)
        elif command == "u" and draft != task.draft:
            draft = task.draft
        elif command == "u":
            if _undo(queue, show):
                return True
        elif not key and draft is not None:
            queue.save(draft)
            return True
        else:
            changed = _changed(queue, draft, key)
            if changed is None:
                show(_not_understood(key))
            draft = changed or draft


def _read(draft: Draft | None, keys: str, ask: Ask, show: Show, *, can_reveal: bool) -> str:
    """Show what will be saved, and read a line."""
    show(f"    will be saved: {draft if draft is not None else 'nothing yet'}")
    enter = "" if draft is None else "Enter = save, "
    revealing = ", r = reveal the image" if can_reveal else ""
    return _read_line(f"  {enter}{keys}{revealing}, u = undo, q = stop: ", ask, show)


def _read_line(prompt: str, ask: Ask, show: Show) -> str:
    while True:
        try:
            line = ask(prompt).strip()
            line.encode()  # in some locales, bytes that are not text arrive as lone surrogates
            return line
        except UnicodeError:
            show("  That line is not text; type it again.")


def _changed(queue: Queue, draft: Draft | None, key: str) -> Draft | None:
    if key.startswith(_LITERAL):
        return queue.write(draft, key[len(_LITERAL) :].strip())
    return queue.choose(draft, key.lower()) if len(key) == 1 else queue.write(draft, key)


def _not_understood(key: str) -> str:
    if len(key) == 1 and key != _LITERAL:
        return f"  “{key}” is not a command here; nothing was changed."
    what = f"“{key}”" if key else "An empty line"
    return f"  {what} cannot be saved here; nothing was changed."
