"""Image-text-to-text models of the hub: unconditioned InstructBLIP and a chat model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from counterveil import reasoning
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.hub import HubReasoner
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION
from counterveil.reasoning.prompts import QUESTION_TEMPLATE, YesNoTokens
from tests.reasoning import tiny
from tests.reasoning.test_conditional import OFF, QUESTIONS, code, pictures

ASKED = [[DESCRIPTION_QUESTION, *QUESTIONS[:3]], QUESTIONS[3:5]]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    return tiny.save_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module", params=["stock", "chat"])
def reasoner(request):
    return reasoning.load(f"hf:{request.getfixturevalue(request.param)}")


def test_answers_follow_the_order_of_questions(reasoner):
    answers = reasoner.answer(pictures(), ASKED, [code(), OFF])
    assert [[a.question for a in row] for row in answers] == ASKED
    assert answers[0][0].p_yes is None
    assert all(0 <= a.p_yes <= 1 for a in answers[0][1:] + answers[1])
    assert len(reasoner.info.sha256) == 64


def test_p_yes_does_not_depend_on_text_or_batch(reasoner):
    both = reasoner.answer(pictures(), ASKED, [OFF, OFF])
    quick = reasoner.answer(pictures(), ASKED, [OFF, OFF], text=False)
    alone = reasoner.answer(pictures()[1:], ASKED[1:], [OFF], text=False)
    for row, other in zip(both, quick, strict=True):
        for a, b in zip(row, other, strict=True):
            assert b.text == ""
            assert a.p_yes == pytest.approx(b.p_yes, abs=1e-4)
    for a, b in zip(quick[1], alone[0], strict=True):
        assert a.p_yes == pytest.approx(b.p_yes, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_red_stays_red_in_narrow_images(reasoner, rows):
    pixels = []
    forward = reasoner.model.generate

    def seen(**inputs):
        pixels.append(inputs["pixel_values"])
        return forward(**inputs)

    reasoner.model.generate = seen
    try:
        for shape in ((rows, 40), (40, 40)):
            red = np.zeros((*shape, 3), np.uint8)
            red[..., 0] = 255
            reasoner.answer([red], [QUESTIONS[:1]], [OFF], text=False)
    finally:
        del reasoner.model.generate
    narrow, square = pixels
    assert torch.allclose(narrow, square, atol=1e-5)


def test_unconditioned_p_yes_equals_the_stock_forward_pass(stock):
    reasoner = HubReasoner(Checkpoint.resolve("hf", str(stock)))
    answered = reasoner.answer(pictures()[:1], [QUESTIONS[:1]], [OFF], text=False)[0][0]
    model = tiny.InstructBlipForConditionalGeneration.from_pretrained(stock).eval()
    processor = tiny.InstructBlipProcessor.from_pretrained(stock)
    prompt = QUESTION_TEMPLATE.format(question=QUESTIONS[0])
    inputs = processor(images=pictures()[0], text=prompt, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[:, -1]
    wanted = torch.sigmoid(YesNoTokens(processor.tokenizer, "tiny").log_odds(logits))
    assert answered.p_yes == pytest.approx(float(wanted), abs=1e-5)


def test_chat_models_receive_the_control_code(chat):
    reasoner = HubReasoner(Checkpoint.resolve("hf", str(chat)))

    def p_yes(control):
        row = reasoner.answer(pictures(1), [QUESTIONS], [control], text=False)[0]
        return torch.tensor([answer.p_yes for answer in row])

    assert not torch.allclose(p_yes(OFF), p_yes(code()), atol=1e-4)


def test_missing_models_and_schemes_are_reported():
    with pytest.raises(ModelError, match="cannot be loaded"):
        reasoning.load("hf:/nowhere/at/all")
    with pytest.raises(UsageError, match="must name"):
        reasoning.load("hf:")
    with pytest.raises(UsageError, match="schemes pictograms, blip"):
        reasoning.load("nothing")
