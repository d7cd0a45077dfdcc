from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from counterveil.classifiers.checked import Checked, checked
from counterveil.errors import ModelError
from counterveil.types import Classifier, ModelInfo

IMAGES = np.zeros((3, 4, 5, 3), np.uint8)


class Says:
    info = ModelInfo("says")
    module = "inner"

    def __init__(self, answer):
        self.answer = answer

    def score(self, images):
        return self.answer


def test_honest_scores_pass_as_float64():
    classifier = checked(Says([0, 0.5, 1]))
    assert isinstance(classifier, Classifier)
    scores = classifier.score(IMAGES)
    assert scores.dtype == np.float64
    assert scores.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.1, 0.2], r"shape \(2,\) for 3 images"),
        (0.5, r"shape \(\) for 3 images"),
        ([[0.1], [0.2], [0.3]], r"shape \(3, 1\)"),
        ([0.1, float("nan"), 0.3], "gave nan"),
        ([0.1, float("inf"), 0.3], "gave inf"),
        ([0.1, 1.01, 0.3], "gave 1.01"),
        ([0.1, -0.01, 0.3], "gave -0.01"),
        (["high", "low", "low"], "not numbers"),
        (None, r"shape \(\)"),
    ],
)
def test_other_scores_are_model_errors_that_name_the_model(answer, message):
    with pytest.raises(ModelError, match=f"'says' .*{message}"):
        checked(Says(answer)).score(IMAGES)


def test_the_rest_is_the_inner_classifiers_own():
    classifier = checked(Says([]))
    assert classifier.module == "inner"
    assert not hasattr(classifier, "nothing")
    assert classifier.info.name == "says"


def test_checking_twice_is_checking_once():
    classifier = checked(Says([]))
    assert checked(classifier) is classifier


def test_it_can_be_copied_and_sent_to_workers():
    classifier = checked(Says([0.1, 0.2, 0.3]))
    for other in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert isinstance(other, Checked)
        assert other.score(IMAGES).tolist() == [0.1, 0.2, 0.3]
