"""Computed weight memory, compared with loaded models and released sizes."""

from __future__ import annotations

import pytest

from counterveil import reasoning
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import vicuna_config, weight_memory
from tests.reasoning import tiny


def test_weight_memory_matches_a_loaded_model(tmp_path):
    blip = ConditionalBlip.from_pretrained(tiny.save(tmp_path))
    needs = weight_memory(blip.model.config)
    count = sum(parameter.numel() for parameter in blip.model.parameters())
    assert needs.parameters == count
    assert needs.gib["bf16"] * 2**30 == pytest.approx(2 * count)
    assert needs.gib["4-bit"] < needs.gib["8-bit"] < needs.gib["bf16"]


@pytest.mark.parametrize(("options", "name"), [("", "bf16"), ("8", "8-bit"), ("4", "4-bit")])
def test_weight_memory_matches_a_quantised_model(tmp_path, options, name):
    """Compares with the footprint that transformers reports, plus the scales that it omits."""
    pytest.importorskip("bitsandbytes")
    quantise = f"&quantise={options}" if options else ""
    model = reasoning.load(
        f"blip:{tiny.save(tmp_path, **tiny.WIDE)}?dtype=bfloat16{quantise}"
    ).model
    states = [getattr(p, "quant_state", None) for p in model.parameters()]
    scales = sum(4 * state.absmax.numel() for state in states if state is not None)
    there = model.get_memory_footprint() + scales
    assert there == pytest.approx(weight_memory(model.config).gib[name] * 2**30, rel=0.01)


@pytest.mark.parametrize(
    ("size", "parameters", "bf16"), [("7b", 7.91e9, 14.7), ("13b", 14.19e9, 26.4)]
)
def test_vicuna_has_the_released_size(size, parameters, bf16):
    needs = weight_memory(vicuna_config(size))
    assert needs.parameters == pytest.approx(parameters, rel=0.005)
    assert needs.gib["bf16"] == pytest.approx(bf16, rel=0.01)
    assert needs.gib["4-bit"] < 0.35 * needs.gib["bf16"]
