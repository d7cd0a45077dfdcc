"""Scores of one image under masks, composited on the classifier's device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import counterveil
from counterveil import classifiers
from counterveil.classifiers.checked import checked
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import ModelError
from counterveil.fills import fill
from counterveil.images import encode_png
from counterveil.lab.scenes import draw_scene
from counterveil.pipeline.components import mask_evaluator
from counterveil.types import ModelInfo
from tests.attribution import nets


@pytest.fixture(autouse=True)
def on_a_device(monkeypatch):
    """Composites on the CPU as on another device."""
    monkeypatch.setattr(TorchClassifier, "score_masked", TorchClassifier._score_masked)


def masks(image, count):
    return np.random.default_rng(1).random((count, *image.shape[:2])) < 0.3


@pytest.mark.parametrize("name", ["black", "#30a0f0", "blur"])
@pytest.mark.parametrize("shape", [(64, 64), (97, 50)], ids=["as it is", "squashed"])
def test_scores_equal_those_of_images_composited_on_the_cpu(name, shape):
    torch.manual_seed(0)
    classifier = nets.classifier(nets.randomised(nets.convnet()))
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    some = masks(image, 2 * classifier.batch_size + 1)
    veil = fill(name)
    scores = classifier.score_masked(image, veil.painted(image))(some)
    assert scores.dtype == np.float64
    # Equal but for how a network rounds, which may depend on where its input lies in memory.
    np.testing.assert_allclose(scores, classifier.score(veil(image, some)), atol=1e-6)
    assert np.ptp(scores) > 1e-4
    assert len(classifier.score_masked(image, veil.painted(image))(some[:0])) == 0


def test_masked_images_are_counted():
    classifier, image = nets.classifier(nets.convnet()), nets.random_image()
    evaluator = mask_evaluator(classifier, image, fill("black"), max_evaluations=9)
    assert len(evaluator.score(masks(image, 5))) == 5
    assert evaluator.score_before == classifier.score(image[None])[0]
    assert evaluator.evaluations == 6


class Broken:
    info = ModelInfo("broken")

    def score(self, images):
        return np.zeros(len(images))

    def score_masked(self, image, paint):
        return lambda masks: np.full(len(masks), np.nan)


def test_masked_scores_are_validated():
    image = nets.random_image()
    with pytest.raises(ModelError, match="'broken' gave nan"):
        checked(Broken()).score_masked(image, image)(masks(image, 2))


def test_a_black_box_scores_no_masks():
    image = nets.random_image()
    assert checked(nets.BlackBox()).score_masked(image, image) is None


@pytest.mark.parametrize("both", [False, True], ids=["one category", "two categories"])
def test_the_pipeline_gives_the_same_result(monkeypatch, both):
    scenes = [
        draw_scene(4711, 0, split="test", category=key, kind="unsafe").pixels
        for key in ("sexually_explicit", "self_harm")
    ]
    data = encode_png(np.concatenate(scenes, axis=1) if both else scenes[0])
    pipeline = counterveil.load("pictograms", reasoner="")
    asked = []
    monkeypatch.setattr(
        TorchClassifier,
        "score_masked",
        lambda self, image, paint: asked.append(1) or self._score_masked(image, paint),
    )
    on_a_device = pipeline.examine(data)
    assert len(asked) >= 1 + both
    monkeypatch.setattr(TorchClassifier, "score_masked", lambda self, image, paint: None)
    here = pipeline.examine(data)
    assert here.explanations
    assert on_a_device.mask == here.mask
    assert on_a_device.veiled == here.veiled
    for one, other in zip(on_a_device.record.categories, here.record.categories, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-6)
        assert one.flagged == other.flagged
        assert (one.counterfactual is None) == (other.counterfactual is None)
        if one.counterfactual is not None:
            assert one.counterfactual.evaluations == other.counterfactual.evaluations


def test_the_cpu_composites_with_numpy(monkeypatch):
    monkeypatch.undo()
    image = nets.random_image()
    assert nets.classifier(nets.convnet()).score_masked(image, image) is None
    assert classifiers.load("pictograms:self_harm").score_masked(image, image) is None
