"""Reasoners in separate processes, with well-behaved and failing programs."""

from __future__ import annotations

import shlex
import sys
import time

import numpy as np
import pytest

from counterveil import reasoning
from counterveil.categories import ControlCode
from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION
from counterveil.reasoning.worker_process import WorkerReasoner
from tests.reasoning.test_conditional import pictures

GOOD = """
import base64, io, json, sys
from PIL import Image
for line in sys.stdin:
    asked = json.loads(line)
    size = Image.open(io.BytesIO(base64.b64decode(asked["image"]))).size
    said = {"What is happening in the image?": {"text": f"{size[0]} by {size[1]}"},
            "Sure?": {"text": "yes", "p_yes": 0.75}, "Plain?": {"text": "No, it is not."},
            "Odd?": {"text": "a cat"}, "Code?": {"text": str(asked["control"]), "p_yes": 0.0}}
    print(json.dumps({"answers": [said[q] for q in asked["questions"]]}), flush=True)
"""


def worker(tmp_path, program, **options):
    path = tmp_path / "worker.py"
    path.write_text(program)
    return WorkerReasoner(shlex.join([sys.executable, str(path)]), **options)


@pytest.fixture
def good(tmp_path):
    made = worker(tmp_path, GOOD)
    yield made
    made.close()


def ask(made, *questions, code=None):
    return made.answer(pictures(1), [list(questions)], [code or ControlCode({})])[0]


def test_answers_follow_the_order_with_p_yes_if_known(good):
    happening, sure, plain, odd = ask(good, DESCRIPTION_QUESTION, "Sure?", "Plain?", "Odd?")
    assert (happening.text, happening.p_yes) == ("50 by 40", None)
    assert (sure.p_yes, plain.p_yes) == (0.75, 0.0)
    assert odd.p_yes is None
    assert "neither yes nor no" in odd.reason


def test_one_program_answers_many_images_with_their_codes(good):
    assert "0.5" in ask(good, "Code?", code=ControlCode({"self_harm": 0.5}))[0].text
    rows = good.answer(pictures(), [["Sure?"], []], [ControlCode({})] * 2)
    assert [len(row) for row in rows] == [1, 0]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('no such model')", "no such model"),
        ("input(); print('hello', flush=True)", "JSONDecodeError"),
        ("input(); print('{}', flush=True)", "answers"),
        ("input(); print('{\"answers\": []}', flush=True)", "shorter"),
        ('input(); print(\'{"answers": [{"text": "yes", "p_yes": 7}]}\', flush=True)', "7"),
    ],
)
def test_failing_programs_give_a_reason(tmp_path, program, words):
    [answered] = ask(worker(tmp_path, program), "Sure?")
    assert answered.p_yes is None
    assert answered.text == ""
    assert words in answered.reason


def test_hanging_programs_are_stopped(tmp_path):
    hangs = worker(tmp_path, "import time; time.sleep(60)", timeout=0.3)
    assert "no answer in 0.3 s" in ask(hangs, "Sure?")[0].reason


def test_programs_that_do_not_read_are_stopped(tmp_path):
    """The image exceeds the pipe buffer: writing it must not outlast the timeout."""
    hangs = worker(tmp_path, "import time; time.sleep(60)", timeout=0.5)
    image = np.random.default_rng(0).integers(0, 255, (500, 500, 3)).astype(np.uint8)
    started = time.monotonic()
    [[answered]] = hangs.answer([image], [["Sure?"]], [ControlCode({})])
    assert "no answer in 0.5 s" in answered.reason
    assert time.monotonic() - started < 10


def test_child_processes_are_stopped(tmp_path):
    """A surviving child that inherits the pipe would block the writing thread."""
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input(); input()'])"
    hangs = worker(tmp_path, child, timeout=1.0)
    image = np.random.default_rng(0).integers(0, 255, (500, 500, 3)).astype(np.uint8)
    started = time.monotonic()
    assert hangs.answer([image], [["Sure?"]], [ControlCode({})])[0][0].p_yes is None
    assert time.monotonic() - started < 10


def test_refusals_are_no_answers(tmp_path):
    said = "I'm sorry, but I cannot help with that."
    program = f"""
import json, sys
for line in sys.stdin:
    print(json.dumps({{"answers": [{{"text": {said!r}, "p_yes": 0.1}}] * 2}}), flush=True)
"""
    made = worker(tmp_path, program)
    for answered in ask(made, DESCRIPTION_QUESTION, "Sure?"):
        assert (answered.text, answered.p_yes) == ("", None)
        assert "refused" in answered.reason
    made.close()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/secret/ask --key hush", "worker:ask"),
        ("/opt/ofa/bin/python examples/workers/ofa.py --token hush", "worker:ofa.py"),
        ("python3.8 -c 'print(5)'", "worker:python3.8"),
    ],
)
def test_records_name_only_the_program(command, name):
    assert reasoning.load(f"worker:{command}").info.name == name


def test_failed_programs_are_restarted(tmp_path):
    once = worker(tmp_path, GOOD + "    break\n")
    assert ask(once, "Sure?")[0].yes
    assert ask(once, "Sure?")[0].p_yes is None
    assert ask(once, "Sure?")[0].yes
    once.close()


def test_spec_needs_a_command():
    with pytest.raises(UsageError, match="must name a command"):
        reasoning.load("worker:")
    with pytest.raises(ModelError, match="cannot be started"):
        ask(reasoning.load("worker:/nowhere/at/all --key hush"), "Sure?")
    with pytest.raises(ModelError) as told:
        ask(reasoning.load("worker:/nowhere/at/all --key hush"), "Sure?")
    assert "hush" not in str(told.value) and "nowhere" not in str(told.value)
