"""A peer that needs an environment of its own, asked through a process: ``worker:COMMAND``.

OFA and mPLUG run on libraries that today's torch and transformers have left behind. Such a model
is started as a program that reads a line of JSON and answers with one:

```
{"image": "<PNG, base64>", "questions": ["..."], "control": {"self_harm": 0.9}}
{"answers": [{"text": "no", "p_yes": 0.1}]}
```

``p_yes`` may be left out; then it is 1 or 0 by the answer's first word, and nothing where that is
neither. What the program writes to standard error is told when it fails. Records name the program
alone, or the script that Python runs, never the command's other words. See ``examples/workers``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePath
from queue import Empty, Queue
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, Any

from counterveil.categories import ControlCode
from counterveil.errors import ModelError, UsageError
from counterveil.images import encode_png
from counterveil.reasoning.base import OPEN, Answered
from counterveil.reasoning.replies import described, refusal
from counterveil.types import Image, ModelInfo

TIMEOUT = 600.0
"""Seconds for the answers on one image; the first ones wait for the model to load."""


class WorkerReasoner:
    """Asks a program; starts it when it is first asked, and anew after it has failed.

    Args:
        command: as for a shell, but run without one.
        timeout: seconds for the answers on one image.
    """

    knows = None

    def __init__(self, command: str, *, timeout: float = TIMEOUT) -> None:
        self._command, self._timeout = shlex.split(command), timeout
        self.info = ModelInfo(f"worker:{_name(self._command)}")
        self._process: _Process | None = None

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[Answered]]:
        """Answers to the questions of each image; ``text`` makes no difference.

        Raises:
            ModelError: the program cannot be started.
        """
        return [
            self._ask(image, asked, code)
            for image, asked, code in zip(images, questions, codes, strict=True)
        ]

    def close(self) -> None:
        """Stop the program."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _ask(self, image: Image, questions: Sequence[str], code: ControlCode) -> list[Answered]:
        if not questions:
            return []
        self._process = self._process or _Process(self._command)
        picture = base64.b64encode(encode_png(image)).decode("ascii")
        asked = {"image": picture, "questions": list(questions), "control": code.to_dict()}
        try:
            reply = self._process.ask(json.dumps(asked), self._timeout)
            answers = json.loads(reply)["answers"]
            return [_answered(q, a) for q, a in zip(questions, answers, strict=True)]
        except (_WorkerError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"the worker did not answer ({type(error).__name__}: {error})"
            self.close()
            return [Answered(question, "", None, reason) for question in questions]


class _WorkerError(Exception):
    """The program ended or took too long."""


class _Process:
    """A running program, with its lines of output in a queue."""

    def __init__(self, command: Sequence[str]) -> None:
        # Not a pipe: one that nobody reads stops the program when it is full.
        self._errors = TemporaryFile()  # noqa: SIM115
        try:
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # so that what it started ends with it
            )
        except OSError as error:
            self._errors.close()
            said = error.strerror or type(error).__name__
            raise ModelError(f"worker:{_name(command)} cannot be started ({said})") from error
        self._lines: Queue[str] = Queue()
        assert self._running.stdout is not None
        Thread(target=_read, args=(self._running.stdout, self._lines), daemon=True).start()

    def ask(self, line: str, timeout: float) -> str:
        assert self._running.stdin is not None
        # A program that does not read fills the pipe, and writing would wait for ever.
        Thread(target=_write, args=(self._running.stdin, line + "\n"), daemon=True).start()
        try:
            reply = self._lines.get(timeout=timeout)
        except Empty as error:
            raise _WorkerError(self._said() or f"no answer in {timeout:g} s") from error
        if not reply:
            raise _WorkerError(self._said() or "it ended")
        return reply

    def stop(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
        self._running.kill()
        self._running.wait()
        for stream in (self._running.stdin, self._running.stdout, self._errors):
            if stream is not None:
                with suppress(OSError):  # what was not written stays unwritten
                    stream.close()

    def _said(self) -> str:
        self._errors.seek(0)
        return " ".join(self._errors.read().decode("utf-8", "replace").split())[-300:]


def _read(stream: IO[str], lines: Queue[str]) -> None:
    """Every line, then an empty one for the end."""
    try:
        for line in stream:
            lines.put(line)
    except ValueError:  # closed while it was read
        pass
    lines.put("")


def _write(stream: IO[str], line: str) -> None:
    with suppress(OSError, ValueError):  # it ended, which its output tells
        stream.write(line)
        stream.flush()


def _name(command: Sequence[str]) -> str:
    """The program's own name; the script's, where Python runs one."""
    names = [PurePath(word).name for word in command]
    if re.fullmatch(r"python[\d.]*(\.exe)?", names[0]) and len(names) > 1:
        return names[1] if names[1].endswith(".py") else names[0]
    return names[0]


def _answered(question: str, answer: Any) -> Answered:
    text, p_yes = str(answer["text"]), answer.get("p_yes")
    if question in OPEN:
        return described(question, text)
    if refused := refusal(text):
        return Answered(question, "", None, refused)
    if p_yes is None:
        first = text.lower().lstrip().split(" ")[0].strip(".,!")
        p_yes = {"yes": 1.0, "no": 0.0}.get(first)
    elif not 0 <= float(p_yes) <= 1:
        raise ValueError(f"p_yes must lie in [0, 1], got {p_yes}")
    if p_yes is None:
        return Answered(question, "", None, f"neither yes nor no: {text[:100]!r}")
    return Answered(question, text, float(p_yes))


def load(argument: str, *, device: str = "cpu") -> WorkerReasoner:
    """The reasoner of ``worker:COMMAND``.

    Raises:
        UsageError: no command is named.
    """
    if not argument.strip():
        raise UsageError("worker: must name a command, as worker:python examples/workers/ofa.py")
    return WorkerReasoner(argument)
