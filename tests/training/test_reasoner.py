"""Training a reasoner: lessons, the small model's first steps, and a stock checkpoint's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from counterveil.categories import PAPER, ControlCode
from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.reasoning import ConditionalBlip, Generation
from counterveil.reasoning.ciit import IGNORED
from counterveil.training.reasoner import small
from counterveil.training.reasoner.calibration import fit
from counterveil.training.reasoner.examples import scene_examples
from counterveil.training.reasoner.language import teach_language, told
from counterveil.training.reasoner.lessons import Collator, Lessons, Mix, code_of
from counterveil.training.reasoner.run import ReasonerRecipe, train
from tests.reasoning import tiny
from tests.training.test_data import scene_folder

SHORT = Generation(beams=1, length=4)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return scene_folder(tmp_path_factory.mktemp("data") / "scenes", 40, (64, 64))


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def blip():
    return small.new(seed=1)


def test_examples_know_what_is_true_of_their_scene(scenes):
    examples = scene_examples(scenes)
    assert len(examples) == 40
    for example in examples:
        labels = {key for key, bad in example.scene.labels.items() if bad}
        assert set(example.truth.flagged) == labels
        assert len(example.truth.answers) == 11


def test_what_is_veiled_is_not_told(scenes):
    veiled = 0
    for example in scene_examples(scenes):
        found = example.veiled(np.random.default_rng(0))
        if found is None:
            continue
        veil, truth = found
        veiled += 1
        assert veil.any()
        assert len(truth.answers) == len(example.truth.answers)
        assert set(truth.flagged) <= set(example.truth.flagged)
        yes = sum(bool(a.yes) for a in truth.answers)
        assert yes <= sum(bool(a.yes) for a in example.truth.answers)
    assert veiled > 20


def test_codes_are_right_absent_or_wrong_as_often_as_asked():
    rng = np.random.default_rng(0)
    mix = Mix(uncoded=0.25, wrong=0.25)
    codes = [code_of(("self_harm",), PAPER, mix, rng) for _ in range(2000)]
    right = np.mean([code.flagged == ("self_harm",) for code in codes])
    absent = np.mean([not code.flagged for code in codes])
    assert 0.5 < right < 0.62
    assert 0.25 < absent < 0.36
    assert all(0.5 <= value <= 1 for code in codes for value in code.guidance.values())


def test_lessons_repeat_and_differ_by_epoch(scenes, blip):
    lessons = Lessons(scene_examples(scenes), blip, Mix(questions=3), seed=0)
    first = lessons[0]
    assert len(first.pairs) == 3
    assert first.pairs == lessons[0].pairs
    lessons.epoch = 1
    assert first.pairs != lessons[0].pairs


def test_only_answers_are_learnt(scenes, blip):
    lessons = Lessons(scene_examples(scenes), blip, Mix(), seed=0)
    batch = Collator(blip)([lessons[i] for i in range(4)])
    tokenizer = blip.processor.tokenizer
    assert batch["pixel_values"].shape == (4, 3, small.SIDE, small.SIDE)
    assert batch["owners"].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert batch["guidance"].shape == (16, len(PAPER))
    pairs = [pair for i in range(4) for pair in lessons[i].pairs]
    for row, labels, (question, answer) in zip(
        batch["input_ids"], batch["labels"], pairs, strict=True
    ):
        learnt = labels[labels != IGNORED]
        assert learnt[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(learnt, skip_special_tokens=True) == answer
        assert tokenizer.unk_token_id not in row.tolist()
        assert question.split()[0] in tokenizer.decode(row)


def test_every_word_of_the_scenes_is_known(scenes, blip):
    text, instruction = blip.processor.tokenizer, blip.processor.qformer_tokenizer
    for example in scene_examples(scenes):
        for answer in example.truth.answers:
            assert text.unk_token_id not in text(answer.answer)["input_ids"]
            assert instruction.unk_token_id not in instruction(answer.question)["input_ids"]


def test_the_small_one_is_small_and_survives_saving(blip, tmp_path):
    assert sum(p.numel() for p in blip.model.parameters()) < 12e6
    blip.save_pretrained(tmp_path)
    again = ConditionalBlip.from_pretrained(tmp_path, generation=SHORT)
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    code = [ControlCode({"self_harm": 0.8})]
    asked = [["Does the image contain any weapons?"]]
    mine = blip.answer([image], asked, code, text=False)[0][0]
    assert again.answer([image], asked, code, text=False)[0][0].p_yes == mine.p_yes


def test_a_language_model_learns_to_speak_of_what_it_is_told():
    fresh = small.new(seed=2)
    said = []
    teach_language(
        fresh, steps=60, batch=32, rate=3e-3, seed=0,
        precision=torch.enable_grad, report=said.append, step=lambda: None,
    )  # fmt: skip
    right = [float(line.split()[2]) for line in said]
    assert right[-1] > 0.6 > right[0]


def test_what_is_told_stands_where_the_image_will_be(blip):
    ids, labels = told(blip, 8, np.random.default_rng(0))
    queries = blip.model.config.num_query_tokens
    assert ids.shape == labels.shape
    assert (labels[:, :queries] == IGNORED).all()
    names = blip.processor.tokenizer.convert_tokens_to_ids(list(small.names()))
    assert set(ids[:, :queries].unique().tolist()) <= {*names, blip.model.config.image_token_index}


def test_a_stock_checkpoint_is_trained_saved_and_reloads_to_the_same(scenes, stock, tmp_path):
    recipe = ReasonerRecipe(str(stock), epochs=1, batch=8, rate=1e-2, mix=Mix(questions=2))
    said = []
    train(scenes, tmp_path / "out", recipe, resume=False, report=said.append)
    before = ConditionalBlip.from_pretrained(stock, tokens=recipe.tokens, generation=SHORT)
    after = ConditionalBlip.from_pretrained(tmp_path / "out", generation=SHORT)
    old, new = before.model.state_dict(), after.model.state_dict()
    for name in old:
        frozen = name.startswith(("vision_model.", "language_model."))
        assert not frozen or torch.equal(old[name], new[name]), name
    for part in ("query_tokens", "control.tokens", "control.prompt", "language_projection.weight"):
        assert not torch.equal(old[part], new[part]), part
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["recipe"]["epochs"] == 1
    assert any("eval_loss" in row for row in metrics["history"])
    assert after.spec.scale == pytest.approx(metrics["scale"])
    again = ConditionalBlip.from_pretrained(tmp_path / "out", generation=SHORT)
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    asked = [["Does the image contain any weapons?"]]
    for code in (ControlCode({}), ControlCode({"self_harm": 1.0})):
        a, b = (m.answer([image], asked, [code], text=False)[0][0].p_yes for m in (after, again))
        assert a == b


def test_a_stopped_training_goes_on(scenes, stock, tmp_path):
    recipe = ReasonerRecipe(str(stock), epochs=1, batch=8, rate=1e-2, mix=Mix(questions=1))
    train(scenes, tmp_path, recipe, resume=False, report=lambda line: None)
    assert list((tmp_path / "checkpoints").glob("checkpoint-*"))
    said = []
    train(scenes, tmp_path, recipe, resume=True, report=said.append)
    assert any("calibrated" in line for line in said)


def test_scale_and_shift_are_fitted():
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 20000)
    wanted = rng.random(20000) < 1 / (1 + np.exp(-(0.5 * odds + 1)))
    scale, shift = fit(odds, wanted)
    assert scale == pytest.approx(0.5, abs=0.05)
    assert shift == pytest.approx(1, abs=0.05)


def test_scenes_without_a_split_are_refused(tmp_path, stock):
    folder = scene_folder(tmp_path / "few", 3, (64, 64))
    with pytest.raises(UsageError, match="no images of the split"):
        train(folder, tmp_path / "x", ReasonerRecipe(str(stock)), resume=False, report=print)


def test_the_command_trains(scenes, stock, tmp_path):
    result = CliRunner().invoke(app, [
        "train", "reasoner", str(scenes), "--start", str(stock), "--out", str(tmp_path / "made"),
        "--epochs", "1", "--batch", "8", "--questions", "1",
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "made" / "model.safetensors").is_file()
