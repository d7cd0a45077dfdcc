"""A program in its own environment as a reasoner: ``worker:COMMAND``.

OFA and mPLUG need libraries that do not work with current torch and transformers. A worker reads
one line of JSON per image and answers with one line:

```
{"image": "<PNG, base64>", "questions": ["..."], "control": {"self_harm": 0.9}}
{"answers": [{"text": "no", "p_yes": 0.1}]}
```

Without ``p_yes`` the first word of the text decides: yes is 1, no is 0, anything else is no answer.
If the program fails, its standard error is part of the reason. Records name only the program, or
the script that Python runs, because arguments may be secret. See ``examples/workers``.
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
from pathlib import Path, PurePath
from queue import Empty, Queue
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, Any

from counterveil.categories import ControlCode
from counterveil.errors import ModelError, UsageError
from counterveil.images import encode_png
from counterveil.reasoning.interfaces import OPEN_QUESTIONS, QuestionAnswer
from counterveil.reasoning.openai_requests import find_refusal, parse_description
from counterveil.types import Image, ModelInfo


class WorkerReasoner:
    """Reasoner in a separate process, started for the first question and after each failure.

    Args:
        command: command line in shell syntax; it runs without a shell.
        folder: in which the program runs; default: the current one.
        timeout: seconds for the answers about one image; the first waits for the model to load.

    Raises:
        ModelError: from ``answer``, if the program cannot be started.
    """

    supported_categories = None

    def __init__(self, command: str, *, timeout: float = 600.0, folder: Path | None = None) -> None:
        self._command, self._timeout = shlex.split(command), timeout
        self.info = ModelInfo(f"worker:{_program_name(self._command)}")
        self._folder = folder
        self._process: _LineProcess | None = None

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[QuestionAnswer]]:
        """Answer the questions of each image; ``text`` is ignored."""
        return [
            self._answer_image(image, row, code)
            for image, row, code in zip(images, questions, codes, strict=True)
        ]

    def close(self) -> None:
        """Stop the program."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _answer_image(
        self, image: Image, questions: Sequence[str], code: ControlCode
    ) -> list[QuestionAnswer]:
        if not questions:
            return []
        self._process = self._process or _LineProcess(self._command, self._folder)
        png = base64.b64encode(encode_png(image)).decode("ascii")
        request = {"image": png, "questions": list(questions), "control": code.to_dict()}
        try:
            reply = self._process.request(json.dumps(request), self._timeout)
            answers = json.loads(reply)["answers"]
            return [_to_answer(q, a) for q, a in zip(questions, answers, strict=True)]
        except (_WorkerError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"the worker did not answer ({type(error).__name__}: {error})"
            self.close()
            return [QuestionAnswer(question, "", None, reason) for question in questions]


class _WorkerError(Exception):
    """The program ended or timed out."""


class _LineProcess:
    """Running program that answers each input line with one output line."""

    def __init__(self, command: Sequence[str], folder: Path | None) -> None:
        # A file, not a pipe: a pipe that nobody reads blocks the program when it is full.
        self._stderr = TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                cwd=folder,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # so that stop() also ends its child processes
            )
        except OSError as error:
            self._stderr.close()
            reason = error.strerror or type(error).__name__
            name = f"worker:{_program_name(command)}"
            raise ModelError(f"{name} cannot be started ({reason}); check the command") from error
        self._lines: Queue[str] = Queue()
        assert self._process.stdout is not None
        Thread(target=_read_lines, args=(self._process.stdout, self._lines), daemon=True).start()

    def request(self, line: str, timeout: float) -> str:
        assert self._process.stdin is not None
        # A program that does not read its input fills the pipe, and writing would block forever.
        Thread(target=_write, args=(self._process.stdin, line + "\n"), daemon=True).start()
        try:
            reply = self._lines.get(timeout=timeout)
        except Empty as error:
            raise _WorkerError(self._stderr_tail() or f"no answer in {timeout:g} s") from error
        if not reply:
            raise _WorkerError(self._stderr_tail() or "it ended")
        return reply

    def stop(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with suppress(OSError):  # closing flushes, and the pipe may be broken
                    stream.close()

    def _stderr_tail(self) -> str:
        self._stderr.seek(0)
        return " ".join(self._stderr.read().decode("utf-8", "replace").split())[-300:]


def _read_lines(stream: IO[str], lines: Queue[str]) -> None:
    """Queue every line, then an empty string for the end of the stream."""
    try:
        for line in stream:
            lines.put(line)
    except ValueError:  # the stream was closed meanwhile
        pass
    lines.put("")


def _write(stream: IO[str], line: str) -> None:
    with suppress(OSError, ValueError):  # the program ended, which the reading side reports
        stream.write(line)
        stream.flush()


def _program_name(command: Sequence[str]) -> str:
    """File name of the program, or of the script that Python runs."""
    names = [PurePath(word).name for word in command]
    if re.fullmatch(r"python[\d.]*(\.exe)?", names[0]) and len(names) > 1:
        return names[1] if names[1].endswith(".py") else names[0]
    return names[0]


def _to_answer(question: str, answer: Any) -> QuestionAnswer:
    text, p_yes = str(answer["text"]), answer.get("p_yes")
    if question in OPEN_QUESTIONS:
        return parse_description(question, text)
    if refusal := find_refusal(text):
        return QuestionAnswer(question, "", None, refusal)
    if p_yes is None:
        first = text.lower().lstrip().split(" ")[0].strip(".,!")
        p_yes = {"yes": 1.0, "no": 0.0}.get(first)
    elif not 0 <= float(p_yes) <= 1:
        raise ValueError(f"p_yes must lie in [0, 1], got {p_yes}")
    if p_yes is None:
        return QuestionAnswer(question, "", None, f"neither yes nor no: {text[:100]!r}")
    return QuestionAnswer(question, text, float(p_yes))


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> WorkerReasoner:
    """Make the reasoner of ``worker:COMMAND``."""
    if not argument.strip():
        example = "worker:python examples/workers/ofa.py"
        raise UsageError(f"worker: must name a command, such as {example}")
    return WorkerReasoner(argument, folder=folder)
