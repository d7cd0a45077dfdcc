"""The shipped reasoner on scenes that are not in its training data."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import counterveil
from counterveil.errors import UsageError
from counterveil.images import encode_png
from counterveil.lab.benchmarks import reasoning as measure
from counterveil.lab.benchmarks.reasoning import CONDITIONS
from counterveil.lab.scenes import draw_scene
from counterveil.reasoning import load

RIGHT, _, NONE, WRONG = CONDITIONS


@pytest.fixture(scope="module")
def reasoner():
    return load("pictograms:scenes")


@pytest.fixture(scope="module")
def scenes():
    return measure.draw_scenes(16, seed=77)


def asked(reasoner, scenes, condition, *, texts=False):
    said = measure.predict(reasoner, scenes, [condition], describe=texts, step=lambda: None)
    return said[condition.name]


def test_shipped_weights_are_small_and_documented():
    folder = files("counterveil") / "weights" / "reasoner"
    sizes = [file.stat().st_size for file in Path(str(folder)).rglob("*") if file.is_file()]
    assert sum(sizes) < 25e6
    assert "pictograms" in (folder / "README.md").read_text()


def test_other_names_are_refused():
    with pytest.raises(UsageError, match="use pictograms:scenes"):
        load("pictograms:photographs")


def test_answers_are_accurate_with_the_right_code(reasoner, scenes):
    said = asked(reasoner, scenes, RIGHT, texts=True)
    assert np.mean([row.mean for row in measure.category_accuracy(said).values()]) > 0.85
    assert measure.question_accuracy(said)["mean"].mean > 0.85


def test_wrong_codes_do_not_change_the_answers(reasoner, scenes):
    specificity = measure.wrong_code_specificity(asked(reasoner, scenes, WRONG))
    assert np.mean([row.mean for row in specificity.values()]) > 0.9


def test_answers_are_accurate_without_a_code(reasoner, scenes):
    assert measure.question_accuracy(asked(reasoner, scenes, NONE))["mean"].mean > 0.8


def test_veiling_turns_yes_into_no(reasoner, scenes):
    said = asked(reasoner, scenes, RIGHT)
    gone = measure.grounding(reasoner, said, lambda scene: scene.mask(), step=lambda: None)
    assert gone.mean > 0.85


def test_profile_writes_a_rationale(reasoner):
    scene = draw_scene(5, 1, split="test", category="cyberbullying", kind="unsafe")
    record = counterveil.load("pictograms").examine(encode_png(scene.pixels)).record
    assert record.rationale is not None
    assert record.rationale.model == "pictograms:scenes"
    assert len(record.rationale.answers) == 9
    assert "yes" in record.rationale.text
