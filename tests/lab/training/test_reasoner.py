"""Training of a reasoner: data set, small model, stock checkpoint, calibration."""

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

from counterveil.categories import GENERIC_QUESTIONS, PAPER_CATEGORIES, ControlCode
from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.images import load
from counterveil.lab.scenes import OBJECT_KINDS, reference_answers
from counterveil.lab.training.reasoner.dataset import (
    Collator,
    ReasonerDataset,
    SamplingConfig,
    draw_control_code,
    scene_examples,
)
from counterveil.lab.training.reasoner.evaluation import dataset_digest, fit_platt_scaling
from counterveil.lab.training.reasoner.finetuning import ReasonerTrainConfig
from counterveil.lab.training.reasoner.run import train_reasoner
from counterveil.lab.training.reasoner.small_model import INPUT_SIZE, build_small_model
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.reasoning.options import GenerationSettings
from tests.lab.training.test_dataset import scene_folder
from tests.reasoning import tiny

ZERO2 = Path(__file__).parents[3] / "examples" / "deepspeed" / "zero2.json"

KINDS_IN_ORDER = tuple(OBJECT_KINDS)
SHORT = GenerationSettings(num_beams=1, max_new_tokens=4)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return scene_folder(tmp_path_factory.mktemp("data") / "scenes", 40, (64, 64))


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def blip():
    return build_small_model(seed=1)


def test_examples_have_the_ground_truth_of_their_scene(scenes):
    examples = scene_examples(scenes)
    assert len(examples) == 40
    for example in examples:
        labels = {key for key, bad in example.scene.labels.items() if bad}
        assert set(example.truth.flagged) == labels
        assert len(example.truth.answers) == 11


def test_veiled_objects_are_not_in_the_answers(scenes):
    masked = 0
    for example in scene_examples(scenes):
        found = example.draw_mask(np.random.default_rng(0))
        if found is None:
            continue
        mask, truth = found
        masked += 1
        assert mask.any()
        assert len(truth.answers) == len(example.truth.answers)
        assert set(truth.flagged) <= set(example.truth.flagged)
        yes = sum(bool(a.yes) for a in truth.answers)
        assert yes <= sum(bool(a.yes) for a in example.truth.answers)
    assert masked > 20


def test_control_codes_are_correct_absent_or_wrong_at_the_given_rates():
    rng = np.random.default_rng(0)
    sampling = SamplingConfig(no_code_rate=0.25, wrong_code_rate=0.25)
    codes = [
        draw_control_code(("self_harm",), PAPER_CATEGORIES, sampling, rng) for _ in range(2000)
    ]
    correct = np.mean([code.flagged == ("self_harm",) for code in codes])
    absent = np.mean([not code.flagged for code in codes])
    assert 0.5 < correct < 0.62
    assert 0.25 < absent < 0.36
    assert all(0.5 <= value <= 1 for code in codes for value in code.guidance.values())


def test_samples_are_reproducible_and_differ_by_epoch(scenes, blip):
    dataset = ReasonerDataset(
        scene_examples(scenes), blip, SamplingConfig(questions_per_image=3), seed=0
    )
    first = dataset[0]
    assert len(first.pairs) == 3
    assert first.pairs == dataset[0].pairs
    dataset.epoch = 1
    assert first.pairs != dataset[0].pairs


def test_with_a_new_background_only_objects_are_kept_and_in_the_answers(scenes, blip):
    examples = scene_examples(scenes)
    dataset = ReasonerDataset(
        examples,
        blip,
        SamplingConfig(questions_per_image=11, mask_rate=0, background_augmentation=1),
        seed=0,
    )
    for index, example in enumerate(examples):
        before, now = load(example.image)[0].pixels, dataset[index]
        objects = example.object_mask(before.shape[:2])
        assert (now.image[objects] == before[objects]).all()
        assert objects.mean() > 0.9 or (now.image != before).any()
        pairs = dict(now.pairs)
        names = [KINDS_IN_ORDER[a["category_id"] - 1] for a in example.scene.annotations]
        assert pairs == {a.question: a.answer for a in reference_answers(names, 0, ())}
    assert any(example.scene.bystanders for example in examples)
    again = ReasonerDataset(
        examples,
        blip,
        SamplingConfig(questions_per_image=11, mask_rate=0, background_augmentation=1),
        seed=0,
    )
    assert (again[3].image == dataset[3].image).all()


def test_an_open_question_comes_first_at_the_given_rate(scenes, blip):
    examples = scene_examples(scenes)
    open_questions = {question.text for question in GENERIC_QUESTIONS}
    for share in (0, 1):
        dataset = ReasonerDataset(
            examples, blip, SamplingConfig(questions_per_image=2, open_question_rate=share), seed=0
        )
        first = np.mean([dataset[i].pairs[0][0] in open_questions for i in range(len(dataset))])
        assert first == 1 if share else first < 0.5
        assert len({dataset[i].pairs[0][0] for i in range(len(dataset))}) >= 2


def test_only_answers_enter_the_loss(scenes, blip):
    dataset = ReasonerDataset(scene_examples(scenes), blip, SamplingConfig(), seed=0)
    batch = Collator(blip)([dataset[i] for i in range(4)])
    tokenizer = blip.processor.tokenizer
    assert batch["pixel_values"].shape == (4, 3, INPUT_SIZE, INPUT_SIZE)
    assert batch["image_index"].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert batch["guidance"].shape == (16, len(PAPER_CATEGORIES))
    pairs = [pair for i in range(4) for pair in dataset[i].pairs]
    for row, labels, (question, answer) in zip(
        batch["input_ids"], batch["labels"], pairs, strict=True
    ):
        answer_ids = labels[labels != IGNORE_INDEX]
        assert answer_ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(answer_ids, skip_special_tokens=True) == answer
        assert tokenizer.unk_token_id not in row.tolist()
        assert question.split()[0] in tokenizer.decode(row)


def test_every_word_of_the_scenes_is_in_the_vocabulary(scenes, blip):
    text, instruction = blip.processor.tokenizer, blip.processor.qformer_tokenizer
    for example in scene_examples(scenes):
        for answer in example.truth.answers:
            assert text.unk_token_id not in text(answer.answer)["input_ids"]
            assert instruction.unk_token_id not in instruction(answer.question)["input_ids"]


def test_the_small_model_is_small_and_reloads_to_the_same(blip, tmp_path):
    assert sum(p.numel() for p in blip.model.parameters()) < 12e6
    blip.save_pretrained(tmp_path)
    again = ConditionalBlip.from_pretrained(tmp_path, generation=SHORT)
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    code = [ControlCode({"self_harm": 0.8})]
    asked = [["Does the image contain any weapons?"]]
    mine = blip.answer([image], asked, code, text=False)[0][0]
    assert again.answer([image], asked, code, text=False)[0][0].p_yes == mine.p_yes


def test_a_stock_checkpoint_is_trained_saved_and_reloads_to_the_same(scenes, stock, tmp_path):
    config = ReasonerTrainConfig(
        str(stock),
        epochs=1,
        batch_size=8,
        learning_rate=1e-2,
        sampling=SamplingConfig(questions_per_image=2),
    )
    train_reasoner(scenes, tmp_path / "out", config, resume=False)
    before = ConditionalBlip.from_pretrained(stock, tokens=config.control_tokens, generation=SHORT)
    after = ConditionalBlip.from_pretrained(tmp_path / "out", generation=SHORT)
    old, new = before.model.state_dict(), after.model.state_dict()
    for name in old:
        frozen = name.startswith(("vision_model.", "language_model."))
        assert not frozen or torch.equal(old[name], new[name]), name
    for part in ("query_tokens", "control.tokens", "control.prompt", "language_projection.weight"):
        assert not torch.equal(old[part], new[part]), part
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["config"]["epochs"] == 1
    assert metrics["config"]["object_pretraining_epochs"] == 0
    assert sum(metrics["data"]["images"].values()) == 40
    assert metrics["test"]["answers"] == 9 * metrics["data"]["images"]["test"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers")
    for words in (
        metrics["data"]["sha256"], f"| train | {metrics['data']['images']['train']} |",
        "sexually_explicit, cyberbullying, self_harm", f"start: {stock.name}\n",
        "learning_rate: 0.01", "wrong_code_rate: 0.25",
        f"scale {metrics['scale']:.3f}", "a person decides",
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


def test_a_stopped_training_is_resumed(scenes, stock, tmp_path, caplog):
    caplog.set_level("INFO", "counterveil.lab.training")
    config = ReasonerTrainConfig(
        str(stock),
        epochs=1,
        batch_size=8,
        learning_rate=1e-2,
        sampling=SamplingConfig(questions_per_image=1),
    )
    train_reasoner(scenes, tmp_path, config, resume=False)
    assert list((tmp_path / "checkpoints").glob("checkpoint-*"))
    train_reasoner(scenes, tmp_path, config, resume=True)
    assert any("calibrated" in line for line in caplog.messages)


def test_the_vision_encoder_of_a_small_model_is_trained_further(blip, tmp_path, caplog):
    caplog.set_level("INFO", "counterveil.lab.training")
    scenes = scene_folder(tmp_path / "scenes", 100, (64, 64))
    blip.save_pretrained(tmp_path / "first")
    config = ReasonerTrainConfig(
        str(tmp_path / "first"),
        epochs=1,
        max_steps=1,
        batch_size=8,
        vision_epochs=1,
        sampling=SamplingConfig(questions_per_image=1),
    )
    train_reasoner(scenes, tmp_path / "out", config, resume=False)
    assert sum(line.startswith("object pretraining, images") for line in caplog.messages) == 1
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
    train_reasoner(scenes, tmp_path / "out", config, resume=True)
    assert sum(line.startswith("object pretraining, images") for line in caplog.messages) == 1


def test_only_the_vision_encoder_of_a_small_model_can_be_trained(scenes, stock, tmp_path):
    config = ReasonerTrainConfig(str(stock), vision_epochs=1)
    with pytest.raises(UsageError, match="omit --vision-epochs"):
        train_reasoner(scenes, tmp_path, config, resume=False)


def test_platt_scaling_is_fitted():
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 20000)
    wanted = rng.random(20000) < 1 / (1 + np.exp(-(0.5 * odds + 1)))
    scale, shift = fit_platt_scaling(odds, wanted)
    assert scale == pytest.approx(0.5, abs=0.05)
    assert shift == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("odds", "wanted"), [
    ([3.0, -2.0], [True, False]),
    ([0.001, -0.001], [True, False]),
    ([-5.0, 5.0] * 4, [True, False] * 4),
    ([20.0] * 50 + [-20.0] * 50, [True] * 50 + [False] * 50),
    ([0.01] * 500 + [-0.01] * 500, [True] * 500 + [False] * 500),
])  # fmt: skip
def test_a_few_answers_do_not_give_an_extreme_scale(odds, wanted):
    """Two correct validation images once gave a scale of 8420."""
    scale, shift = fit_platt_scaling(np.array(odds), np.array(wanted))
    assert 0 < scale <= 20
    assert abs(shift) <= 10
    if len(odds) == 2:
        assert 0.2 < scale < 2
        assert abs(shift) < 1


def test_answers_of_one_class_change_nothing():
    assert fit_platt_scaling(np.array([1.0, 2.0]), np.array([True, True])) == (1.0, 0.0)


def test_the_digest_covers_splits_and_examples(scenes):
    examples = scene_examples(scenes)
    whole = dataset_digest({"train": examples})
    assert dataset_digest({"train": examples[::-1]}) == whole
    assert dataset_digest({"train": examples[1:]}) != whole
    assert dataset_digest({"test": examples}) != whole


def own_data(root, *, broken=False):
    """Instruction data of a user's own category, and its profile."""
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


def test_a_reasoner_is_conditioned_on_the_categories_of_a_profile(stock, tmp_path):
    file, _ = own_data(tmp_path)
    command = [
        "train", "reasoner", str(file), "--images", str(tmp_path / "data"), "--unreviewed",
        "--start", str(stock), "--epochs", "2", "--batch-size", "4", "--learning-rate", "0.01",
        "--out", str(tmp_path / "made"),
    ]  # fmt: skip
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, UsageError)
    assert "unsafe in logos" in str(refused.exception) and "--profile" in str(refused.exception)
    result = CliRunner().invoke(app, [*command, "--profile", str(tmp_path / "own.toml")])
    assert result.exit_code == 0, result.output
    assert "left out" in result.output and "train/logos/0.png" in result.output
    made = ConditionalBlip.from_pretrained(tmp_path / "made", generation=SHORT)
    assert made.supported_categories == ("logos",)
    assert float(made.model.control.prompt.detach().abs().sum()) > 0, "its control code was trained"
    again = [word if word != str(stock) else str(tmp_path / "made") for word in command]
    other = CliRunner().invoke(app, [*again, "--profile", "pictograms"])
    assert "already conditioned on logos" in str(other.exception)


def test_building_leaves_out_unreadable_images(tmp_path):
    file, output = own_data(tmp_path, broken=True)
    assert "left out train/logos/0.png" in output
    assert "train/logos/0.png" not in file.read_text()
    assert "train/logos/1.png" in file.read_text()


def test_a_batch_is_collated_on_the_cpu(scenes, blip, monkeypatch):
    """Trainer pins it there; a tensor on a device cannot be pinned."""
    monkeypatch.setattr(type(blip), "device", property(lambda self: torch.device("meta")))
    dataset = ReasonerDataset(scene_examples(scenes), blip, SamplingConfig(), seed=0)
    batch = Collator(blip)([dataset[0]])
    assert {value.device.type for value in batch.values()} == {"cpu"}


def test_only_one_of_several_processes_writes(scenes, stock, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "counterveil.lab.training")
    import transformers

    monkeypatch.setattr(transformers.Trainer, "is_world_process_zero", lambda self: False)
    config = ReasonerTrainConfig(
        str(stock), epochs=1, batch_size=16, sampling=SamplingConfig(questions_per_image=1)
    )
    train_reasoner(scenes, tmp_path / "out", config, resume=False)
    assert not (tmp_path / "out" / "config.json").exists()
    assert not any("calibrated" in line for line in caplog.messages)


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
        "--epochs", "1", "--batch-size", "8", "--questions-per-image", "2", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("P(yes) calibrated") == 1
    assert (
        ConditionalBlip.from_pretrained(tmp_path / "made", generation=SHORT).supported_categories
        == PAPER_CATEGORIES
    )
    assert (tmp_path / "made" / "README.md").is_file()


def test_a_missing_split_is_an_error(tmp_path, stock):
    folder = scene_folder(tmp_path / "few", 3, (64, 64))
    with pytest.raises(UsageError, match="'validation' has 0 images with answers; it needs at"):
        train_reasoner(folder, tmp_path / "x", ReasonerTrainConfig(str(stock)), resume=False)
    for path in folder.glob("images/*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(
        UsageError, match=r"'train' has 0 images .*'validation' has 0 images .*each"
    ):
        train_reasoner(folder, tmp_path / "x", ReasonerTrainConfig(str(stock)), resume=False)


def test_the_small_model_needs_scenes(tmp_path):
    (tmp_path / "answers.jsonl").write_text("")
    with pytest.raises(UsageError, match="is a file; draw scenes"):
        train_reasoner(
            tmp_path / "answers.jsonl", tmp_path, ReasonerTrainConfig("small"), resume=False
        )


def test_the_command_trains(scenes, stock, tmp_path):
    result = CliRunner().invoke(app, [
        "train", "reasoner", str(scenes), "--start", str(stock), "--out", str(tmp_path / "made"),
        "--epochs", "1", "--batch-size", "8", "--questions-per-image", "1",
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "made" / "model.safetensors").is_file()
