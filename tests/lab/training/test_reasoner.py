"""Training a reasoner: lessons, the small model's first steps, and a stock checkpoint's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from counterveil.categories import GENERIC_QUESTIONS, PAPER, ControlCode
from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.images import load
from counterveil.lab.scenes import reference_answers
from counterveil.lab.training.reasoner import small
from counterveil.lab.training.reasoner.calibration import fit
from counterveil.lab.training.reasoner.card import digest
from counterveil.lab.training.reasoner.examples import scene_examples
from counterveil.lab.training.reasoner.language import teach_language, told
from counterveil.lab.training.reasoner.lessons import Collator, Lessons, Mix, code_of
from counterveil.lab.training.reasoner.recipe import ReasonerRecipe
from counterveil.lab.training.reasoner.run import train
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.reasoning.options import GenerationSettings
from tests.lab.training.test_data import scene_folder
from tests.reasoning import tiny

ZERO2 = Path(__file__).parents[3] / "examples" / "deepspeed" / "zero2.json"

KINDS_IN_ORDER = tuple(KINDS)
SHORT = GenerationSettings(num_beams=1, max_new_tokens=4)


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


def test_on_other_grounds_things_stay_and_nothing_else_is_told(scenes, blip):
    examples = scene_examples(scenes)
    lessons = Lessons(examples, blip, Mix(questions=11, veiled=0, grounds=1), seed=0)
    for index, example in enumerate(examples):
        before, now = load(example.image)[0].pixels, lessons[index]
        things = example.things(before.shape[:2])
        assert (now.image[things] == before[things]).all()
        assert things.mean() > 0.9 or (now.image != before).any()
        told = dict(now.pairs)
        names = [KINDS_IN_ORDER[a["category_id"] - 1] for a in example.scene.annotations]
        assert told == {a.question: a.answer for a in reference_answers(names, 0, ())}
    assert any(example.scene.bystanders for example in examples)
    again = Lessons(examples, blip, Mix(questions=11, veiled=0, grounds=1), seed=0)
    assert (again[3].image == lessons[3].image).all()


def test_an_open_question_comes_first_as_often_as_asked(scenes, blip):
    examples = scene_examples(scenes)
    opening = {question.text for question in GENERIC_QUESTIONS}
    for share in (0, 1):
        lessons = Lessons(examples, blip, Mix(questions=2, opening=share), seed=0)
        first = np.mean([lessons[i].pairs[0][0] in opening for i in range(len(lessons))])
        assert first == 1 if share else first < 0.5
        assert len({lessons[i].pairs[0][0] for i in range(len(lessons))}) >= 2


def test_only_answers_are_learnt(scenes, blip):
    lessons = Lessons(scene_examples(scenes), blip, Mix(), seed=0)
    batch = Collator(blip)([lessons[i] for i in range(4)])
    tokenizer = blip.processor.tokenizer
    assert batch["pixel_values"].shape == (4, 3, small.SIDE, small.SIDE)
    assert batch["image_index"].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert batch["guidance"].shape == (16, len(PAPER))
    pairs = [pair for i in range(4) for pair in lessons[i].pairs]
    for row, labels, (question, answer) in zip(
        batch["input_ids"], batch["labels"], pairs, strict=True
    ):
        learnt = labels[labels != IGNORE_INDEX]
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
    assert (labels[:, :queries] == IGNORE_INDEX).all()
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
    assert metrics["recipe"]["naming"] == metrics["recipe"]["language"] == 0
    assert sum(metrics["data"]["images"].values()) == 40
    assert metrics["test"]["answers"] == 9 * metrics["data"]["images"]["test"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers")
    for words in (
        metrics["data"]["sha256"], f"| train | {metrics['data']['images']['train']} |",
        "sexually_explicit, cyberbullying, self_harm", f"started from: {stock.name};",
        "rate: 0.01", "wrong: 0.25", f"scale {metrics['scale']:.3f}", "a person decides",
    ):  # fmt: skip
        assert words in card
    assert str(stock.parent) not in card
    assert any("eval_loss" in row for row in metrics["history"])
    assert after.control_config.scale == pytest.approx(metrics["scale"])
    assert json.loads((tmp_path / "out" / "config.json").read_text()).get("use_cache", True)
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


def test_a_small_one_learns_to_see_more_and_is_written_small(blip, tmp_path):
    scenes = scene_folder(tmp_path / "scenes", 100, (64, 64))
    blip.save_pretrained(tmp_path / "first")
    recipe = ReasonerRecipe(
        str(tmp_path / "first"),
        epochs=1,
        steps=1,
        batch=8,
        seeing=1,
        mix=Mix(questions=1),
    )
    said = []
    train(scenes, tmp_path / "out", recipe, resume=False, report=said.append)
    assert sum(line.startswith("naming images") for line in said) == 1
    after = load_file(tmp_path / "out" / "model.safetensors")
    before = load_file(tmp_path / "first" / "model.safetensors")
    assert {value.dtype for value in after.values() if value.is_floating_point()} == {torch.float16}
    for name in before:
        same = torch.equal(before[name].half(), after[name].half())
        if name.startswith("language_model."):
            assert same, name
    assert "pictograms" in (tmp_path / "out" / "README.md").read_text()
    seen = load_file(tmp_path / "out" / "start" / "model.safetensors")
    learnt = {name for name in before if not torch.equal(before[name], seen[name])}
    assert learnt and all(name.startswith("vision_model.") for name in learnt)
    train(scenes, tmp_path / "out", recipe, resume=True, report=said.append)
    assert sum(line.startswith("naming images") for line in said) == 1


def test_only_a_small_one_learns_to_see(scenes, stock, tmp_path):
    recipe = ReasonerRecipe(str(stock), seeing=1)
    with pytest.raises(UsageError, match="leave --seeing out"):
        train(scenes, tmp_path, recipe, resume=False, report=print)


def test_scale_and_shift_are_fitted():
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 20000)
    wanted = rng.random(20000) < 1 / (1 + np.exp(-(0.5 * odds + 1)))
    scale, shift = fit(odds, wanted)
    assert scale == pytest.approx(0.5, abs=0.05)
    assert shift == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("odds", "wanted"), [
    ([3.0, -2.0], [True, False]),
    ([0.001, -0.001], [True, False]),
    ([-5.0, 5.0] * 4, [True, False] * 4),
    ([20.0] * 50 + [-20.0] * 50, [True] * 50 + [False] * 50),
    ([0.01] * 500 + [-0.01] * 500, [True] * 500 + [False] * 500),
])  # fmt: skip
def test_a_few_answers_are_no_reason_for_certainty(odds, wanted):
    """Two validation images that were both right once gave a scale of 8420."""
    scale, shift = fit(np.array(odds), np.array(wanted))
    assert 0 < scale <= 20
    assert abs(shift) <= 10
    if len(odds) == 2:
        assert 0.2 < scale < 2
        assert abs(shift) < 1


def test_one_sided_answers_calibrate_nothing():
    assert fit(np.array([1.0, 2.0]), np.array([True, True])) == (1.0, 0.0)


def test_the_digest_is_of_what_was_learnt(scenes):
    examples = scene_examples(scenes)
    whole = digest({"train": examples})
    assert digest({"train": examples[::-1]}) == whole
    assert digest({"train": examples[1:]}) != whole
    assert digest({"test": examples}) != whole


def own_data(root, *, broken=False):
    """An ImageFolder of a category of one's own, built and reviewed; with its profile."""
    rng = np.random.default_rng(0)
    for name in ("logos", "safe"):
        for split, count in (("train", 6), ("validation", 3), ("test", 2)):
            folder = root / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    (root / "own.toml").write_text(
        '[[category]]\nkey = "logos"\ntitle = "A red square"\nclassifier = "python:a:b"\n'
        'questions = ["Is a red square in the image?"]\n'
    )
    whole = root / "data" / "train" / "logos" / "0.png"
    cut = whole.read_bytes()[:-900]
    if broken:
        whole.write_bytes(cut)
    built = CliRunner().invoke(app, [
        "instruct", "build", str(root / "data"), "--out", str(root / "a.jsonl"),
        "--profile", str(root / "own.toml"),
    ])  # fmt: skip
    assert built.exit_code == 0, built.output
    whole.write_bytes(cut)
    return root / "a.jsonl", built.output


def test_a_reasoner_is_conditioned_on_categories_of_ones_own(stock, tmp_path):
    file, _ = own_data(tmp_path)
    asked = [
        "train", "reasoner", str(file), "--images", str(tmp_path / "data"), "--unreviewed",
        "--start", str(stock), "--epochs", "2", "--batch", "4", "--rate", "0.01",
        "--out", str(tmp_path / "made"),
    ]  # fmt: skip
    refused = CliRunner().invoke(app, asked)
    assert isinstance(refused.exception, UsageError)
    assert "unsafe in logos" in str(refused.exception) and "--profile" in str(refused.exception)
    result = CliRunner().invoke(app, [*asked, "--profile", str(tmp_path / "own.toml")])
    assert result.exit_code == 0, result.output
    assert "left out" in result.output and "train/logos/0.png" in result.output
    made = ConditionalBlip.from_pretrained(tmp_path / "made", generation=SHORT)
    assert made.supported_categories == ("logos",)
    assert float(made.model.control.prompt.detach().abs().sum()) > 0, "its code was learnt"
    again = [word if word != str(stock) else str(tmp_path / "made") for word in asked]
    other = CliRunner().invoke(app, [*again, "--profile", "proxy"])
    assert "conditioned on logos already" in str(other.exception)


def test_building_reads_every_image(tmp_path):
    file, said = own_data(tmp_path, broken=True)
    assert "left out train/logos/0.png" in said
    assert "train/logos/0.png" not in file.read_text()
    assert "train/logos/1.png" in file.read_text()


def test_a_batch_waits_in_main_memory(scenes, blip, monkeypatch):
    """Trainer pins it there; what is on a device already cannot be pinned."""
    monkeypatch.setattr(type(blip), "device", property(lambda self: torch.device("meta")))
    lessons = Lessons(scene_examples(scenes), blip, Mix(), seed=0)
    batch = Collator(blip)([lessons[0]])
    assert {value.device.type for value in batch.values()} == {"cpu"}


def test_only_one_of_several_processes_writes(scenes, stock, tmp_path, monkeypatch):
    import transformers

    monkeypatch.setattr(transformers.Trainer, "is_world_process_zero", lambda self: False)
    recipe = ReasonerRecipe(str(stock), epochs=1, batch=16, mix=Mix(questions=1))
    said = []
    train(scenes, tmp_path / "out", recipe, resume=False, report=said.append)
    assert not (tmp_path / "out" / "config.json").exists()
    assert not any("calibrated" in line for line in said)


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", [False, True])
def test_two_processes_train_and_one_writes(scenes, stock, tmp_path, monkeypatch, deepspeed):
    """As on two GPUs, by the command that examples/deepspeed shows, over gloo."""
    options = ["--precision", "float32"]
    if deepspeed:
        pytest.importorskip("deepspeed")
        monkeypatch.setenv("DS_ACCELERATOR", "cpu")
        options = ["--precision", "bfloat16", "--deepspeed", str(ZERO2)]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--no-python", "--", sys.executable, "-c", "from counterveil.cli import main; main()",
        "train", "reasoner", str(scenes), "--start", str(stock), "--out", str(tmp_path / "made"),
        "--epochs", "1", "--batch", "8", "--questions", "2", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("P(yes) calibrated") == 1
    made = ConditionalBlip.from_pretrained(tmp_path / "made", generation=SHORT)
    assert made.supported_categories == PAPER
    assert (tmp_path / "made" / "README.md").is_file()


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
