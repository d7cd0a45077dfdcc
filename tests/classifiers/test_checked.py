from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from counterveil.classifiers.checked import (
    CheckedClassifier,
    CheckedGradientClassifier,
    checked,
)
from counterveil.errors import ModelError
from counterveil.types import (
    Classifier,
    GradientClassifier,
    MaskScoringClassifier,
    ModelInfo,
)

IMAGES = np.zeros((3, 4, 5, 3), np.uint8)


class Constant:
    info = ModelInfo("constant")

    def __init__(self, scores):
        self.scores = scores

    def score(self, images):
        return self.scores


class Gradients(Constant):
    module = "module"

    def to_input(self, images):
        return ("input", len(images))

    def to_image_maps(self, maps, size):
        return (maps, size)

    def target(self, logits):
        return ("target", logits)


def test_valid_scores_are_returned_as_float64():
    classifier = checked(Constant([0, 0.5, 1]))
    assert isinstance(classifier, Classifier)
    scores = classifier.score(IMAGES)
    assert scores.dtype == np.float64
    assert scores.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("scores", "message"),
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
def test_invalid_scores_raise_a_model_error_with_the_name_of_the_model(scores, message):
    with pytest.raises(ModelError, match=f"'constant' .*{message}"):
        checked(Constant(scores)).score(IMAGES)


def test_a_gradient_classifier_stays_one():
    classifier = checked(Gradients([]))
    assert isinstance(classifier, GradientClassifier)
    assert classifier.info.name == "constant"
    assert classifier.module == "module"
    assert classifier.to_input(IMAGES) == ("input", 3)
    assert classifier.to_image_maps("maps", (4, 5)) == ("maps", (4, 5))
    assert classifier.target("logits") == ("target", "logits")


def test_a_black_box_gets_no_gradients():
    classifier = checked(Constant([]))
    assert not isinstance(classifier, GradientClassifier)
    assert isinstance(classifier, MaskScoringClassifier)
    assert classifier.score_masked(IMAGES[0], IMAGES[0]) is None


def test_checking_twice_has_no_effect():
    classifier = checked(Constant([]))
    assert checked(classifier) is classifier


def test_can_be_copied_and_pickled():
    for kind, inner in ((CheckedClassifier, Constant), (CheckedGradientClassifier, Gradients)):
        classifier = checked(inner([0.1, 0.2, 0.3]))
        for other in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
            assert type(other) is kind
            assert other.score(IMAGES).tolist() == [0.1, 0.2, 0.3]
