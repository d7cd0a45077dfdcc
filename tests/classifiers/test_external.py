from __future__ import annotations

import sys

import numpy as np
import pytest

from counterveil.classifiers import external
from counterveil.errors import ModelError, UsageError
from counterveil.types import Classifier, GradientClassifier

IMAGES = np.stack([np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)])

SOURCE = """
from counterveil.errors import ModelError
from counterveil.types import ModelInfo

class Bright:
    info = ModelInfo("bright", "1")
    def score(self, images):
        return images.mean(axis=(1, 2, 3)) / 255

class Placed(Bright):
    def __init__(self, *, device):
        self.info = ModelInfo(device)

class Gradients(Bright):
    module = None
    def to_input(self, images):
        return images
    def to_image_maps(self, maps, size):
        return maps
    def target(self, logits):
        return logits

def function():
    return lambda images: images.mean(axis=(1, 2, 3)) / 255

def wrong():
    return lambda images: images.mean(axis=(1, 2, 3))

def failing():
    def score(images):
        raise ZeroDivisionError("boom")
    return score

def nothing():
    return None

def unnamed():
    return type("Unnamed", (), {"score": lambda self, images: images})()

def unmakeable():
    raise KeyError("no weights")

def ours():
    raise ModelError("in our words")

number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "their_model.py").write_text(SOURCE)
    (tmp_path / "their_broken.py").write_text("1 / 0")
    (tmp_path / "their_needy.py").write_text("import not_installed_anywhere")
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("their_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("factory", "name"), [("Bright", "bright"), ("function", "python:their_model:function")]
)
def test_loads_a_classifier_or_a_function_from_the_current_folder(factory, name):
    path = list(sys.path)
    classifier = external.load(f"their_model:{factory}")
    assert isinstance(classifier, Classifier)
    assert classifier.info.name == name
    assert classifier.score(IMAGES).tolist() == [0, 1]
    assert sys.path == path


def test_the_device_is_passed_to_a_factory_that_takes_it():
    assert external.load("their_model:Placed", device="cuda:1").info.name == "cuda:1"


@pytest.mark.parametrize(
    ("factory", "gradients"), [("Gradients", True), ("Bright", False), ("function", False)]
)
def test_gradients_are_available_where_the_classifier_declares_them(factory, gradients):
    classifier = external.load(f"their_model:{factory}")
    assert isinstance(classifier, GradientClassifier) == gradients


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("their_model", "write python:module:factory"),
        (":function", "write python:module:factory"),
        ("their_absent:f", "no module 'their_absent'"),
        ("their_model:absent", "has no 'absent'"),
        ("their_model:number", "'number' is int, not something to call"),
    ],
)
def test_a_malformed_or_unknown_spec_is_a_usage_error(argument, message):
    with pytest.raises(UsageError, match=message):
        external.load(argument)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("their_broken:f", "could not be imported: ZeroDivisionError"),
        ("their_needy:f", "could not be imported: ModuleNotFoundError.*not_installed_anywhere"),
        ("their_model:nothing", "made NoneType; return a classifier with score"),
        ("their_model:unnamed", "needs an info"),
        ("their_model:unmakeable", "could not be made: KeyError: 'no weights'"),
        ("their_model:ours", "^in our words$"),
    ],
)
def test_a_failure_while_loading_is_a_model_error(argument, message):
    with pytest.raises(ModelError, match=message):
        external.load(argument)


@pytest.mark.parametrize(
    ("factory", "message"),
    [("wrong", "gave 255.0"), ("failing", "failed: ZeroDivisionError: boom")],
)
def test_a_failure_while_scoring_is_a_model_error_with_the_spec(factory, message):
    classifier = external.load(f"their_model:{factory}")
    with pytest.raises(ModelError, match=f"python:their_model:{factory}.*{message}"):
        classifier.score(IMAGES)
