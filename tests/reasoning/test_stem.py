"""A convolutional stem in InstructBLIP's vision tower."""

from __future__ import annotations

import copy

import pytest
import torch

from counterveil.categories import PAPER
from counterveil.classifiers import proxy
from counterveil.errors import ModelError
from counterveil.lab.training.reasoner.finetuning import freeze_pretrained
from counterveil.lab.training.reasoner.small_model import INPUT_SIZE, build_small_model
from counterveil.reasoning.ciit import ConditionalInstructBlip
from counterveil.reasoning.stem import Stem, StemSpec
from tests.reasoning import tiny


@pytest.fixture
def stem():
    torch.manual_seed(0)
    return Stem(StemSpec((4, 8), (1, 1)), 16)


def test_patches_are_a_stride_apart(stem):
    assert StemSpec((4, 8), (1, 1)).stride == 8
    assert stem(torch.zeros(2, 3, 64, 32)).shape == (2, 16, 8, 4)


def test_a_spec_survives_being_written_down():
    spec = StemSpec((4, 8, 12), (1, 2, 1))
    assert StemSpec.from_dict(spec.to_dict()) == spec
    assert spec.stride == 16


def test_a_stem_must_fit_the_patches(tmp_path):
    config = ConditionalInstructBlip.from_pretrained(tiny.save(tmp_path)).config
    config.stem = StemSpec((4, 8, 12), (1, 1, 1)).to_dict()
    with pytest.raises(ModelError, match="stride 16 does not fit patches of 8 px"):
        ConditionalInstructBlip(config)


def test_frozen_statistics_stay_whatever_mode_the_model_is_put_into():
    blip = build_small_model(seed=0)
    freeze_pretrained(blip.model)
    vision = blip.model.train().vision_model
    before = copy.deepcopy(vision.state_dict())
    vision(pixel_values=torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE))
    assert all(torch.equal(value, before[name]) for name, value in vision.state_dict().items())
    vision.requires_grad_(True).train()
    vision(pixel_values=torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE))
    assert not all(torch.equal(value, before[name]) for name, value in vision.state_dict().items())


def test_the_small_one_starts_from_what_the_shipped_classifiers_see():
    stem = build_small_model(seed=0).model.vision_model.embeddings.patch_embedding
    name = "encoder.stages.0.layers.0.layer.0.convolution.weight"
    shipped = [proxy.load(key).module.state_dict()["network.resnet." + name] for key in PAPER]
    assert torch.allclose(stem.network.state_dict()[name], torch.stack(shipped).mean(0))
