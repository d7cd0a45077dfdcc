"""A reasoner in a process of its own: real processes, well behaved and not."""

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


def test_answers_come_in_order_with_what_is_known_of_their_certainty(good):
    happening, sure, plain, odd = ask(good, DESCRIPTION_QUESTION, "Sure?", "Plain?", "Odd?")
    assert (happening.text, happening.p_yes) == ("50 by 40", None)
    assert (sure.p_yes, plain.p_yes) == (0.75, 0.0)
    assert odd.p_yes is None
    assert "neither yes nor no" in odd.reason


def test_the_code_is_told_and_one_program_serves_many_images(good):
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
def test_a_program_that_fails_gives_no_answer_and_the_reason(tmp_path, program, words):
    [answered] = ask(worker(tmp_path, program), "Sure?")
    assert answered.p_yes is None
    assert answered.text == ""
    assert words in answered.reason


def test_a_program_that_hangs_is_stopped(tmp_path):
    hangs = worker(tmp_path, "import time; time.sleep(60)", timeout=0.3)
    assert "no answer in 0.3 s" in ask(hangs, "Sure?")[0].reason


def test_a_program_that_does_not_even_read_is_stopped(tmp_path):
    """An image that is larger than the pipe: writing it must not outlast the time-out."""
    hangs = worker(tmp_path, "import time; time.sleep(60)", timeout=0.5)
    image = np.random.default_rng(0).integers(0, 255, (500, 500, 3)).astype(np.uint8)
    started = time.monotonic()
    [[answered]] = hangs.answer([image], [["Sure?"]], [ControlCode({})])
    assert "no answer in 0.5 s" in answered.reason
    assert time.monotonic() - started < 10


def test_what_the_program_started_ends_with_it(tmp_path):
    """A child that inherits the pipe would keep the writing thread waiting."""
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input(); input()'])"
    hangs = worker(tmp_path, child, timeout=1.0)
    image = np.random.default_rng(0).integers(0, 255, (500, 500, 3)).astype(np.uint8)
    started = time.monotonic()
    assert hangs.answer([image], [["Sure?"]], [ControlCode({})])[0][0].p_yes is None
    assert time.monotonic() - started < 10


def test_a_refusal_is_no_answer(tmp_path):
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
def test_records_are_told_the_program_alone(command, name):
    assert reasoning.load(f"worker:{command}").info.name == name


def test_after_a_failure_it_is_started_anew(tmp_path):
    once = worker(tmp_path, GOOD + "    break\n")
    assert ask(once, "Sure?")[0].yes
    assert ask(once, "Sure?")[0].p_yes is None
    assert ask(once, "Sure?")[0].yes
    once.close()


def test_a_spec_names_a_command():
    with pytest.raises(UsageError, match="must name a command"):
        reasoning.load("worker:")
    with pytest.raises(ModelError, match="cannot be started"):
        ask(reasoning.load("worker:/nowhere/at/all --key hush"), "Sure?")
    with pytest.raises(ModelError) as told:
        ask(reasoning.load("worker:/nowhere/at/all --key hush"), "Sure?")
    assert "hush" not in str(told.value) and "nowhere" not in str(told.value)
