"""A Q-Former that learns to name what it sees."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from counterveil.categories import ControlCode
from counterveil.lab.training.reasoner import contrast, small
from counterveil.lab.training.reasoner.contrast import Matcher, teach_queries
from counterveil.lab.training.reasoner.examples import scene_examples
from counterveil.lab.training.reasoner.recipe import ReasonerRecipe
from counterveil.lab.training.reasoner.run import train
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import GenerationSettings
from tests.lab.training.test_data import scene_folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return scene_folder(tmp_path_factory.mktemp("data") / "scenes", 90, (64, 64))


def test_a_word_fits_where_an_output_lies_on_it_and_nowhere_else():
    words = torch.eye(5)
    prompt = torch.stack([torch.stack([words[1], words[3], torch.zeros(5)])])
    logits = Matcher(words)(prompt)[0]
    assert (logits > 0).tolist() == [False, True, False, True, False]


def test_the_ground_comes_in_after_the_things():
    shares = [contrast._share(done) for done in np.linspace(0, 1, 11)]
    assert shares[:2] == [0, 0] and shares[-4:] == [1, 1, 1, 1]
    assert shares == sorted(shares)


def test_what_is_veiled_is_not_to_be_named(scenes, monkeypatch):
    monkeypatch.setattr(contrast, "_VEILED", 1.0)
    fewer, rng = 0, np.random.default_rng(0)
    for example in scene_examples(scenes):
        if not example.scene.annotations:
            continue
        shown = contrast._shown(example, rng)
        assert not shown.image[example.things(shown.image.shape[:2]) & ~shown.things].any()
        told = {small.names()[i] for i in shown.there.nonzero().flatten()}
        assert told <= {small.name_of(thing) for thing in example.truth.things}
        fewer += len(told) < len({small.name_of(thing) for thing in example.truth.things})
    assert fewer > 10


def test_the_query_transformer_learns_and_the_rest_stays(scenes):
    blip = small.new(seed=3)
    before = {name: value.clone() for name, value in blip.model.state_dict().items()}
    said, steps = [], []
    teach_queries(
        blip, scene_examples(scenes)[:4], steps=8, batch=4, rate=1e-3, seed=0,
        precision=torch.enable_grad, report=said.append, step=lambda: steps.append(1),
    )  # fmt: skip
    assert len(steps) == len(said) == 8
    for name, value in blip.model.state_dict().items():
        if name.startswith(("vision_model.", "language_model.", "control.")):
            assert torch.equal(value, before[name]), name
    for name in ("query_tokens", "language_projection.weight"):
        assert not torch.equal(blip.model.state_dict()[name], before[name]), name


def test_the_small_one_is_made_from_end_to_end_and_fits_into_a_package(scenes, tmp_path):
    recipe = ReasonerRecipe("small", epochs=1, steps=2, batch=4, naming=1, language=2, queries=2)
    train(scenes, tmp_path, recipe, resume=False, report=lambda line: None)
    assert (tmp_path / "start" / "config.json").is_file()
    assert (tmp_path / "model.safetensors").stat().st_size < 25e6
    assert (tmp_path / "README.md").is_file()
    assert json.loads((tmp_path / "metrics.json").read_text())["recipe"]["queries"] == 2
    short = GenerationSettings(num_beams=1, max_new_tokens=3)
    again = ConditionalBlip.from_pretrained(tmp_path, generation=short)
    image = np.zeros((64, 64, 3), np.uint8)
    assert again.model.dtype == torch.float32
    assert 0 <= again.answer([image], [["Is it?"]], [ControlCode({})])[0][0].p_yes <= 1
