"""OFA and mPLUG: the programs in examples/workers with their real library.

The library needs a separate environment (see ``examples/workers/ofa.py``), so these tests run only
if an environment variable names its interpreter.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from counterveil import reasoning
from counterveil.categories import ControlCode
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION
from tests.reasoning import tiny_baselines
from tests.reasoning.test_conditional import pictures

WORKERS = Path(__file__).parents[2] / "examples" / "workers"
QUESTION = "Does the image contain any weapons?"


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Function from a baseline's name to its answers about all test images."""
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    started = []

    def answers(name, *options):
        variable = f"COUNTERVEIL_{name.upper()}_PYTHON"
        python = os.environ.get(variable)
        if not python:
            pytest.skip(f"{variable} does not name the interpreter of {name}'s environment")
        found = subprocess.run([python, "-c", "import modelscope, fairseq"], capture_output=True)
        if found.returncode:
            pytest.skip(f"{variable} names an interpreter without modelscope and fairseq")
        folder = tmp_path / name
        if not folder.exists():
            subprocess.run([python, tiny_baselines.__file__, name, str(folder)], check=True)
        models = [f"--{use}={folder / use}" for use in ("vqa", "caption")]
        command = [python, str(WORKERS / f"{name}.py"), *models, *options]
        started.append(reasoning.load(f"worker:{shlex.join(command)}"))
        images = [*pictures(), *(np.full((40, 50, 3), grey, np.uint8) for grey in (0, 255))]
        asked = [[DESCRIPTION_QUESTION, QUESTION]] * len(images)
        return started[-1].answer(images, asked, [ControlCode({})] * len(images))

    yield answers
    for made in started:
        made.close()


def test_ofa_repeats_no_trigram(ask):
    rows = ask("ofa")
    for described, yes in rows:
        assert (yes.text, yes.p_yes) == ("yes yes yes", 1.0)  # free to, it says it five times
        said = described.text.split()
        assert said and set(said) <= set(tiny_baselines.WORDS)
        triples = Counter(zip(said, said[1:], said[2:], strict=False))
        assert max(triples.values(), default=1) == 1
    assert len({described.text for described, _ in rows}) > 1  # it looks at the image


def test_mplug_samples_from_five_words_reproducibly(ask):
    rows = ask("mplug")
    for described, yes in rows:
        assert yes.text == " ".join(["yes"] * 63)  # it has 64 places
        assert yes.p_yes == 1.0
        said = described.text.split()
        assert len(said) == 63
        assert set(said) == set(tiny_baselines.WORDS[:5])  # the sixth is hardly less likely
    assert rows[0][0].text != rows[1][0].text
    assert ask("mplug") == rows
    assert ask("mplug", "--seed", "1") != rows
