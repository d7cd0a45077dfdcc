"""Memory from configurations: held against a model that really is there, and known sizes."""

from __future__ import annotations

import pytest

from counterveil.reasoning import ConditionalBlip
from counterveil.reasoning.memory import memory, vicuna
from tests.reasoning import tiny


def test_a_tiny_model_needs_what_it_is_computed_to_need(tmp_path):
    blip = ConditionalBlip.from_pretrained(tiny.save(tmp_path))
    needs = memory(blip.model.config)
    count = sum(parameter.numel() for parameter in blip.model.parameters())
    assert needs.parameters == count
    assert needs.gib["bf16"] * 2**30 == pytest.approx(2 * count)
    assert needs.gib["4-bit"] < needs.gib["8-bit"] < needs.gib["bf16"]


@pytest.mark.parametrize(
    ("size", "parameters", "bf16"), [("7b", 7.91e9, 14.7), ("13b", 14.19e9, 26.4)]
)
def test_vicuna_is_as_large_as_it_was_released(size, parameters, bf16):
    needs = memory(vicuna(size))
    assert needs.parameters == pytest.approx(parameters, rel=0.005)
    assert needs.gib["bf16"] == pytest.approx(bf16, rel=0.01)
    assert needs.gib["4-bit"] < 0.35 * needs.gib["bf16"]
