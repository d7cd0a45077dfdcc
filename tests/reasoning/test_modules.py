"""The modules added to InstructBLIP: control prior and convolutional patch embedding."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict

import pytest
import torch

from counterveil.categories import PAPER_CATEGORIES
from counterveil.classifiers import pictograms
from counterveil.errors import ModelError, UsageError
from counterveil.lab.training.reasoner.finetuning import freeze_pretrained
from counterveil.lab.training.reasoner.small_model import INPUT_SIZE, build_small_model
from counterveil.reasoning.instructblip import ConditionalInstructBlip
from counterveil.reasoning.modules import ControlConfig, ConvPatchEmbedding, PatchEmbeddingConfig
from tests.reasoning import tiny


def test_patch_embedding_has_one_patch_per_stride():
    torch.manual_seed(0)
    config = PatchEmbeddingConfig((4, 8), (1, 1))
    assert config.stride == 8
    assert PatchEmbeddingConfig((4, 8, 12), (1, 2, 1)).stride == 16
    assert ConvPatchEmbedding(config, 16)(torch.zeros(2, 3, 64, 32)).shape == (2, 16, 8, 4)


def test_control_config_survives_json():
    config = ControlConfig(("a", "b"), 2, scale=1.5, shift=-0.5)
    assert ControlConfig(**json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(UsageError, match="at least one category"):
        ControlConfig(())


def test_patch_embedding_must_match_the_patch_size(tmp_path):
    config = ConditionalInstructBlip.from_pretrained(tiny.save(tmp_path)).config
    config.patch_embedding = asdict(PatchEmbeddingConfig((4, 8, 12), (1, 1, 1)))
    with pytest.raises(ModelError, match="stride 16 does not fit patches of 8 px"):
        ConditionalInstructBlip(config)


def test_frozen_batch_norm_statistics_do_not_change_in_training_mode():
    blip = build_small_model(seed=0)
    freeze_pretrained(blip.model)
    vision = blip.model.train().vision_model
    before = copy.deepcopy(vision.state_dict())
    vision(pixel_values=torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE))
    assert all(torch.equal(value, before[name]) for name, value in vision.state_dict().items())
    vision.requires_grad_(True).train()
    vision(pixel_values=torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE))
    assert not all(torch.equal(value, before[name]) for name, value in vision.state_dict().items())


def test_small_model_starts_from_the_shipped_classifiers():
    embedding = build_small_model(seed=0).model.vision_model.embeddings.patch_embedding
    name = "encoder.stages.0.layers.0.layer.0.convolution.weight"
    shipped = [
        pictograms.load(key).module.state_dict()["network.resnet." + name]
        for key in PAPER_CATEGORIES
    ]
    assert torch.allclose(embedding.network.state_dict()[name], torch.stack(shipped).mean(0))
