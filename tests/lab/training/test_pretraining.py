"""Pretraining of the small reasoner: language model, Q-Former, and all parts in sequence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from counterveil.categories import ControlCode
from counterveil.lab.training.reasoner import pretraining
from counterveil.lab.training.reasoner.dataset import scene_examples
from counterveil.lab.training.reasoner.finetuning import ReasonerTrainConfig
from counterveil.lab.training.reasoner.pretraining import (
    WordMatcher,
    language_batch,
    pretrain_language_model,
    pretrain_qformer,
)
from counterveil.lab.training.reasoner.run import train_reasoner
from counterveil.lab.training.reasoner.small_model import (
    build_small_model,
    object_word,
    object_words,
)
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.reasoning.options import GenerationSettings
from tests.lab.training.test_dataset import scene_folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return scene_folder(tmp_path_factory.mktemp("data") / "scenes", 90, (64, 64))


def test_the_language_model_learns_to_answer_from_object_words(caplog):
    caplog.set_level("INFO", "counterveil.lab.training")
    pretrain_language_model(
        build_small_model(seed=2), steps=60, batch_size=32, learning_rate=3e-3, seed=0,
        precision="float32",
    )  # fmt: skip
    accuracy = [float(line.split()[-1]) for line in caplog.messages]
    assert accuracy[-1] > 0.6 > accuracy[0]


def test_object_words_stand_at_the_positions_of_the_image():
    blip = build_small_model(seed=1)
    ids, labels = language_batch(blip, 8, np.random.default_rng(0))
    config, tokenizer = blip.model.config, blip.processor.tokenizer
    queries = config.num_query_tokens
    assert ids.shape == labels.shape
    assert (labels[:, :queries] == IGNORE_INDEX).all()
    words = tokenizer.convert_tokens_to_ids(list(object_words()))
    assert set(ids[:, :queries].unique().tolist()) <= {*words, config.image_token_index}


def test_a_word_matches_where_an_output_lies_at_its_embedding():
    embeddings = torch.eye(5)
    outputs = torch.stack([torch.stack([embeddings[1], embeddings[3], torch.zeros(5)])])
    logits = WordMatcher(embeddings)(outputs)[0]
    assert (logits > 0).tolist() == [False, True, False, True, False]


def test_the_background_is_added_after_the_objects():
    rates = [pretraining._background_rate(done) for done in np.linspace(0, 1, 11)]
    assert rates[:2] == [0, 0] and rates[-4:] == [1, 1, 1, 1]
    assert rates == sorted(rates)


def test_veiled_objects_are_not_among_the_targets(scenes, monkeypatch):
    monkeypatch.setattr(pretraining, "_MASK_RATE", 1.0)
    fewer, rng = 0, np.random.default_rng(0)
    for example in scene_examples(scenes):
        if not example.scene.annotations:
            continue
        sample = pretraining._draw_sample(example, rng)
        objects = example.object_mask(sample.image.shape[:2])
        assert not sample.image[objects & ~sample.objects].any()
        words = {object_words()[i] for i in sample.words.nonzero().flatten()}
        unveiled = {object_word(name) for name in example.truth.objects}
        assert words <= unveiled
        fewer += len(words) < len(unveiled)
    assert fewer > 10


def test_only_the_qformer_is_trained(scenes, caplog):
    blip = build_small_model(seed=3)
    before = {name: value.clone() for name, value in blip.model.state_dict().items()}
    caplog.set_level("INFO", "counterveil.lab.training")
    pretrain_qformer(
        blip, scene_examples(scenes)[:4], steps=8, batch_size=4, learning_rate=1e-3, seed=0,
        precision="float32",
    )  # fmt: skip
    assert len(caplog.messages) == 8
    for name, value in blip.model.state_dict().items():
        if name.startswith(("vision_model.", "language_model.", "control.")):
            assert torch.equal(value, before[name]), name
    for name in ("query_tokens", "language_projection.weight"):
        assert not torch.equal(blip.model.state_dict()[name], before[name]), name


def test_a_small_model_is_trained_end_to_end_and_fits_into_a_package(scenes, tmp_path):
    config = ReasonerTrainConfig(
        "small", epochs=1, max_steps=2, batch_size=4, object_pretraining_epochs=1,
        language_pretraining_steps=10, qformer_pretraining_steps=2,
    )  # fmt: skip
    train_reasoner(scenes, tmp_path, config, resume=False)
    assert (tmp_path / "start" / "config.json").is_file()
    assert (tmp_path / "model.safetensors").stat().st_size < 25e6
    assert (tmp_path / "README.md").is_file()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["config"]["qformer_pretraining_steps"] == 2
    again = ConditionalBlip.from_pretrained(
        tmp_path, generation=GenerationSettings(num_beams=1, max_new_tokens=3)
    )
    image = np.zeros((64, 64, 3), np.uint8)
    assert again.model.dtype == torch.float32
    assert 0 <= again.answer([image], [["Is it?"]], [ControlCode({})])[0][0].p_yes <= 1
