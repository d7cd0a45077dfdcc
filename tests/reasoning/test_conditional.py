"""ConditionalBlip on a tiny stock checkpoint."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from counterveil.categories import CATEGORIES, PAPER_CATEGORIES, ControlCode
from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import GenerationSettings
from tests.reasoning import tiny

QUESTIONS = [question.text for key in PAPER_CATEGORIES for question in CATEGORIES[key].questions]
OFF = ControlCode({})
SHORT = GenerationSettings(num_beams=2, max_new_tokens=5)


def code(guidance=1.0, key="self_harm"):
    return ControlCode({key: guidance})


def pictures(count=2):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (40 + 9 * n, 50, 3)).astype(np.uint8) for n in range(count)]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def blip(stock):
    return ConditionalBlip.from_pretrained(stock, generation=SHORT)


@pytest.fixture(scope="module")
def theirs(stock):
    return tiny.InstructBlipForConditionalGeneration.from_pretrained(stock).eval()


def logits(blip, guidance, questions=QUESTIONS, image=0):
    inputs = blip.tokenize(questions)
    pixels = blip.pixel_values([pictures()[image]]).expand(len(questions), -1, -1, -1)
    rows = None if guidance is None else blip.control_config.guidance([guidance] * len(questions))
    with torch.no_grad():
        return blip.model(**inputs, pixel_values=pixels, guidance=rows)["logits"]


@pytest.mark.parametrize("off", [None, OFF, code(0.0)])
def test_guidance_0_is_instructblip_bit_for_bit(blip, theirs, off):
    inputs = blip.tokenize(QUESTIONS)
    pixels = blip.pixel_values(pictures()[:1]).expand(len(QUESTIONS), -1, -1, -1)
    with torch.no_grad():
        wanted = theirs(**inputs, pixel_values=pixels).logits
    assert torch.equal(logits(blip, off), wanted)


def test_a_batch_of_codes_equals_single_codes(blip):
    """A row with guidance 0 must not depend on a row with guidance 1."""
    inputs = blip.tokenize(QUESTIONS[:2])
    pixels = blip.pixel_values(pictures()[:1]).expand(2, -1, -1, -1)
    with torch.no_grad():
        rows = blip.control_config.guidance([OFF, code()])
        both = blip.model(**inputs, pixel_values=pixels, guidance=rows)["logits"]
    for row, one in enumerate([OFF, code()]):
        alone = logits(blip, one, QUESTIONS[:2])[row]
        assert torch.allclose(both[row], alone, atol=1e-4)


def test_guidance_moves_the_logits_smoothly(blip):
    far = [float((logits(blip, code(g)) - logits(blip, OFF)).norm()) for g in (1e-6, 1e-3, 0.5, 1)]
    assert far[0] < 1e-3 * far[-1]
    assert far == sorted(far)
    near = float((logits(blip, code(0.5)) - logits(blip, code(0.5001))).norm())
    assert near < 1e-2 * far[-1]


def test_categories_condition_differently(blip):
    one, other = logits(blip, code(key="self_harm")), logits(blip, code(key="cyberbullying"))
    assert not torch.allclose(one, other, atol=1e-3)


def test_control_tokens_start_as_title_embeddings(blip):
    tokenizer = blip.processor.qformer_tokenizer
    table = blip.model.qformer.embeddings.word_embeddings.weight
    for row, key in zip(blip.model.control.tokens, blip.control_config.categories, strict=True):
        ids = tokenizer(CATEGORIES[key].title, add_special_tokens=False)["input_ids"]
        assert torch.equal(row[0], table[ids[0]])


def test_padding_changes_nothing(blip):
    short, long = sorted(QUESTIONS, key=len)[0], sorted(QUESTIONS, key=len)[-1]
    alone = logits(blip, code(), [short])[0, -1]
    padded = logits(blip, code(), [short, long])[0, -1]
    assert torch.allclose(alone, padded, atol=1e-4)


def test_all_questions_share_one_image_encoding(blip):
    passed = []
    hook = blip.model.vision_model.register_forward_hook(
        lambda module, inputs, output: passed.append(len(output[0]))
    )
    answers = blip.answer(pictures(), [QUESTIONS, QUESTIONS[:3]], [code(), OFF])
    hook.remove()
    assert passed == [2]
    assert [len(answered) for answered in answers] == [9, 3]
    assert [a.question for a in answers[0]] == QUESTIONS


def test_an_image_given_with_several_codes_is_encoded_once(blip):
    passed = []
    hook = blip.model.vision_model.register_forward_hook(
        lambda module, inputs, output: passed.append(len(output[0]))
    )
    one, other = pictures()
    codes = [OFF, code(), code(0.5)]
    together = blip.answer([one, other, one], [QUESTIONS[:2]] * 3, codes, text=False)
    hook.remove()
    assert passed == [2]
    for image, given, answered in zip([one, other, one], codes, together, strict=True):
        alone = blip.answer([image], [QUESTIONS[:2]], [given], text=False)[0]
        assert [a.p_yes for a in answered] == pytest.approx([a.p_yes for a in alone], abs=1e-4)


def test_answers_equal_stock_generation(blip, theirs):
    """A batch of questions about one image equals one stock call per question."""
    together = blip.answer(pictures()[:1], [QUESTIONS], [OFF])[0]
    for question, answered in zip(QUESTIONS, together, strict=True):
        inputs = blip.tokenize([question])
        pixels = blip.pixel_values(pictures()[:1])
        ids = theirs.generate(**inputs, pixel_values=pixels, **SHORT.to_kwargs())
        new = ids[:, inputs["input_ids"].shape[1] :]
        text = blip.processor.tokenizer.batch_decode(new, skip_special_tokens=True)[0]
        assert answered.text == text.strip()


def test_eight_questions_in_a_batch_equal_eight_stock_calls():
    """Runs the benchmark on a small model; its timing is not tested."""
    path = Path(__file__).parents[2] / "benchmarks" / "eight_questions.py"
    spec = importlib.util.spec_from_file_location("eight_questions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures = module.measure(layers=2, width=32, side=28, generation=SHORT, runs=1)
    assert len(module.QUESTIONS) == 8
    assert figures["identical"]
    assert figures["ratio"] > 0


def test_text_and_p_yes_share_one_qformer_pass(blip):
    """Text and P(yes) need one pass of the Q-Former."""
    passed = []
    hook = blip.model.qformer.register_forward_hook(lambda *_: passed.append(1))
    written = blip.answer(pictures()[:1], [QUESTIONS], [OFF])[0]
    hook.remove()
    assert len(passed) == 1
    alone = blip.answer(pictures()[:1], [QUESTIONS], [OFF], text=False)[0]
    for a, b in zip(written, alone, strict=True):
        assert a.p_yes == pytest.approx(b.p_yes, abs=1e-6)


def test_p_yes_is_the_normalised_first_token_probability(blip):
    answered = blip.answer(pictures()[:1], [QUESTIONS[:1]], [code()], text=False)[0][0]
    probabilities = logits(blip, code(), QUESTIONS[:1])[0, -1].double().softmax(0)
    ids = {w: blip.processor.tokenizer.convert_tokens_to_ids(w) for w in ("Yes", "yes", "No", "no")}
    yes, no = (sum(probabilities[ids[w]] for w in pair) for pair in (("Yes", "yes"), ("No", "no")))
    assert answered.p_yes == pytest.approx(float(yes / (yes + no)), abs=1e-6)
    assert answered.text == ""


def test_save_and_load_restores_the_model(blip, tmp_path):
    with torch.no_grad():
        blip.model.control.prompt.normal_(0, 0.2)
    try:
        blip.calibrate(1.5, -0.25)
        blip.save_pretrained(tmp_path, max_shard_size="40KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
        assert json.loads((tmp_path / "config.json").read_text())["control_code"]["scale"] == 1.5
        again = ConditionalBlip.from_pretrained(tmp_path, generation=SHORT)
        assert again.control_config == blip.control_config
        assert torch.equal(logits(again, code()), logits(blip, code()))
    finally:
        blip.calibrate(1.0, 0.0)
        torch.nn.init.zeros_(blip.model.control.prompt)


def test_stock_code_loads_a_conditioned_checkpoint(blip, theirs, tmp_path):
    """The weights of the stock parts are saved unchanged."""
    blip.save_pretrained(tmp_path)
    stock = tiny.InstructBlipForConditionalGeneration.from_pretrained(tmp_path).eval()
    for name, value in theirs.state_dict().items():
        assert torch.equal(stock.state_dict()[name], value), name


def test_loss_has_gradients_for_all_trained_parts(stock):
    model = ConditionalBlip.from_pretrained(stock).model.train()
    blip = ConditionalBlip.from_pretrained(stock)
    inputs = blip.tokenize(QUESTIONS[:2])
    labels = inputs["input_ids"].clone()
    labels[:, :-2] = -100
    out = model(
        **inputs,
        pixel_values=blip.pixel_values(pictures()),
        guidance=blip.control_config.guidance([code(), code()]),
        labels=labels,
    )
    out["loss"].backward()
    for part in (model.control.tokens, model.control.prompt, model.language_projection.weight):
        assert part.grad is not None
        assert float(part.grad.abs().sum()) > 0


def test_stock_checkpoint_accepts_custom_categories(stock):
    blip = ConditionalBlip.from_pretrained(stock, categories=[CATEGORIES["faces"]], tokens=2)
    assert blip.control_config.categories == ("faces",)
    assert blip.model.control.tokens.shape[:2] == (1, 2)


@pytest.mark.parametrize("shape", [(1, 40), (2, 40), (3, 40), (4, 40), (3, 3), (40, 3), (1, 1)])
def test_red_stays_red_in_narrow_images(blip, shape):
    red = np.zeros((*shape, 3), np.uint8)
    red[..., 0] = 255
    square = np.zeros((8, 8, 3), np.uint8)
    square[..., 0] = 255
    narrow, wide = blip.preprocess([red])[0], blip.preprocess([square])[0]
    assert narrow.shape == wide.shape
    assert torch.allclose(narrow, wide, atol=1e-5)


def test_unknown_category_in_a_code_is_refused(blip):
    with pytest.raises(UsageError, match="'logos'"):
        blip.answer(pictures(1), [QUESTIONS[:1]], [ControlCode({"logos": 1.0})])


def test_different_list_lengths_are_refused(blip):
    with pytest.raises(UsageError, match="one of each"):
        blip.answer(pictures(2), [QUESTIONS], [OFF])


def test_no_questions_give_no_answers(blip):
    assert blip.answer(pictures(2), [[], []], [OFF, OFF]) == [[], []]


def test_missing_checkpoint_is_a_model_error(tmp_path):
    with pytest.raises(ModelError):
        ConditionalBlip.from_pretrained(tmp_path)


def test_default_generation_settings_are_the_papers():
    options = GenerationSettings().to_kwargs()
    assert options["num_beams"] == 5
    assert options["repetition_penalty"] == 1.5
    assert GenerationSettings(do_sample=True).to_kwargs()["top_p"] == 0.9
