"""Options of the specs blip: and hf:, on models loaded on the CPU."""

from __future__ import annotations

import pytest
import torch

from counterveil import reasoning
from counterveil.errors import MissingExtraError, UsageError
from counterveil.reasoning import options as model_options
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION
from counterveil.reasoning.options import (
    GENERATION_PRESETS,
    GenerationSettings,
    ModelOptions,
    set_device_map,
)
from tests.reasoning import tiny
from tests.reasoning.test_conditional import OFF, QUESTIONS, code, pictures


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize("scheme", ["blip", "hf"])
def test_bfloat16_gives_similar_answers(stock, scheme):
    whole = reasoning.load(f"{scheme}:{stock}?generation=greedy")
    half = reasoning.load(f"{scheme}:{stock}?dtype=bfloat16&generation=greedy")
    assert half.model.dtype == torch.bfloat16
    assert half.info.name == f"{scheme}:{stock}?dtype=bfloat16&generation=greedy"
    asked = [[DESCRIPTION_QUESTION, *QUESTIONS[:3]]]
    for a, b in zip(
        whole.answer(pictures(1), asked, [code()])[0],
        half.answer(pictures(1), asked, [code()])[0],
        strict=True,
    ):
        if a.p_yes is not None:
            assert b.p_yes == pytest.approx(a.p_yes, abs=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("dtype=int8", "unknown dtype 'int8'"),
        ("quantise=3", "8 or 4 bits"),
        ("quantise=four", "a whole number"),
        ("quantize=4", "did you mean 'quantise'"),
        ("generation=slow", "unknown generation preset 'slow'"),
    ],
)
@pytest.mark.parametrize("scheme", ["blip", "hf"])
def test_invalid_options_are_refused(stock, scheme, options, words):
    with pytest.raises(UsageError, match=words):
        reasoning.load(f"{scheme}:{stock}?{options}")


@pytest.mark.parametrize(
    ("options", "package"), [("quantise=4", "bitsandbytes"), ("device_map=auto", "accelerate")]
)
def test_missing_extra_is_named(stock, monkeypatch, options, package):
    monkeypatch.setattr(model_options, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"{package}: pip install .*\[quantise\]"):
        reasoning.load(f"blip:{stock}?{options}")


def test_quantised_models_get_a_device_map(monkeypatch):
    monkeypatch.setattr(model_options, "find_spec", lambda name: True)
    options = ModelOptions(dtype="bfloat16", quantise=4).from_pretrained_kwargs()
    assert options["quantization_config"].load_in_4bit
    assert options["quantization_config"].bnb_4bit_compute_dtype == torch.bfloat16
    assert set_device_map(options, "cuda:1")
    assert options["device_map"] == {"": "cuda:1"}
    spread = ModelOptions(quantise=8, device_map="auto").from_pretrained_kwargs()
    assert set_device_map(spread, "cuda") and spread["device_map"] == "auto"
    assert not set_device_map({"dtype": torch.float32}, "cpu")


@pytest.mark.parametrize("scheme", ["blip", "hf"])
@pytest.mark.parametrize(("bits", "layer"), [(8, "Linear8bitLt"), (4, "Linear4bit")])
def test_quantised_models_give_similar_answers(tmp_path, scheme, bits, layer):
    """Runs bitsandbytes on the CPU; its 4-bit kernels need a minimum width."""
    pytest.importorskip("bitsandbytes")
    folder = tiny.save(tmp_path, **tiny.WIDE)
    whole = reasoning.load(f"{scheme}:{folder}?generation=greedy")
    small = reasoning.load(f"{scheme}:{folder}?quantise={bits}&generation=greedy")
    layers = [type(module).__name__ for module in small.model.modules()]
    assert layers.count(layer) > 20
    asked = [QUESTIONS[:4]]
    pairs = zip(
        whole.answer(pictures(1), asked, [code()])[0],
        small.answer(pictures(1), asked, [code()])[0],
        strict=True,
    )
    apart = [abs(a.p_yes - b.p_yes) for a, b in pairs]
    assert max(apart) < (0.05 if bits == 8 else 0.3)


@pytest.mark.parametrize("scheme", ["blip", "hf"])
def test_quantised_models_are_never_moved(stock, monkeypatch, scheme):
    """transformers refuses ``.to`` on quantised models; the fake quantiser does too."""
    monkeypatch.setattr(model_options, "find_spec", lambda name: True)
    seen = {}
    load = precision_checkpoint().load

    def loaded(self, auto, **options):
        quantised = options.pop("quantization_config", None)
        if quantised is not None:
            seen.update(options)
            assert options.pop("device_map") == {"": "cpu"}
        found = load(self, auto, **options)
        if quantised is not None:
            monkeypatch.setattr(type(found), "to", refuse)
        return found

    def refuse(self, *args, **kwargs):
        raise ValueError("`.to` is not supported for quantised models")

    monkeypatch.setattr(precision_checkpoint(), "load", loaded)
    reasoner = reasoning.load(f"{scheme}:{stock}?quantise=8&generation=greedy")
    assert seen["device_map"] == {"": "cpu"}
    assert reasoner.answer(pictures(1), [QUESTIONS[:1]], [OFF], text=False)[0][0].p_yes is not None


def precision_checkpoint():
    from counterveil.classifiers.checkpoints import Checkpoint

    return Checkpoint


def test_presets_have_the_papers_settings():
    options = {name: preset.to_kwargs() for name, preset in GENERATION_PRESETS.items()}
    assert options["instructblip"] == options["paper"]
    assert (options["paper"]["num_beams"], options["paper"]["max_new_tokens"]) == (5, 512)
    assert options["mplug"]["do_sample"] and options["mplug"]["top_k"] == 5
    assert options["mplug"]["max_new_tokens"] == 512
    assert options["ofa"]["num_beams"] == 5
    assert options["ofa"]["no_repeat_ngram_size"] == 3


def test_unconditioned_instructblip_uses_the_papers_settings(stock, tmp_path):
    """P(yes) is of the first token and does not depend on the beams."""
    baseline = reasoning.load(f"hf:{stock}")
    assert baseline.generation == GENERATION_PRESETS["paper"]
    assert reasoning.load(f"hf:{tiny.save_chat(tmp_path)}").generation.num_beams == 1
    short = GenerationSettings(max_new_tokens=6)
    baseline.generation = short
    [row] = baseline.answer(pictures(1), [QUESTIONS[:2]], [OFF])
    quick = baseline.answer(pictures(1), [QUESTIONS[:2]], [OFF], text=False)[0]
    theirs = tiny.InstructBlipForConditionalGeneration.from_pretrained(stock).eval()
    for question, answered, alone in zip(QUESTIONS[:2], row, quick, strict=True):
        assert answered.p_yes == pytest.approx(alone.p_yes, abs=1e-4)
        inputs = baseline.processor(
            images=pictures(1), text=f"Question: {question} Answer:", return_tensors="pt"
        )
        ids = theirs.generate(**inputs, **short.to_kwargs())[:, inputs["input_ids"].shape[1] :]
        wanted = baseline.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)[0]
        assert answered.text == wanted.strip()


def test_push_to_hub_uploads_model_and_processor(stock, monkeypatch):
    """The hub client is a mock with the real signatures; the code of transformers runs."""
    from unittest.mock import create_autospec

    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError
    from transformers.utils import hub

    api = create_autospec(huggingface_hub.HfApi, instance=True)
    api.create_repo.return_value.repo_id = "us/blip"
    uploaded = []

    def commit(*args, operations, **kwargs):
        uploaded.extend(operation.path_in_repo for operation in operations)

    def no_card(*args, **kwargs):
        raise EntryNotFoundError("no card")

    api.create_commit.side_effect = commit
    monkeypatch.setattr(hub, "hf_api", lambda: api)
    monkeypatch.setattr(hub.ModelCard, "load", no_card)
    blip = reasoning.load(f"blip:{stock}")
    blip.push_to_hub("us/blip", private=True, commit_message="ours")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(uploaded)
    assert any("qformer" in name for name in uploaded)
    assert api.create_repo.call_args.kwargs["private"] is True
