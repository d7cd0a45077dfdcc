"""Training of small classifiers: written files, resuming, and accuracy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from counterveil.classifiers import load
from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.lab.training.classifier import ClassifierTrainer, TrainConfig
from counterveil.lab.training.dataset import SPLITS, ImageArrays, decode_samples, index_dataset
from counterveil.lab.training.object_pretraining import LocalizationHead, ObjectPretrainer
from counterveil.lab.training.run import train_classifier, write_weights
from tests.lab.training.test_dataset import scene_folder

SMALL = TrainConfig(
    architecture="slim", start="none", epochs=2, batch_size=16, learning_rate=2e-3, ema_decay=0.5
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Red squares are unsafe, blue ones are not."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    for split, count in zip(SPLITS, (40, 10, 10), strict=True):
        for name, colour in (("unsafe", (220, 30, 30)), ("safe", (30, 30, 220))):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(90, 160, (32, 32, 3)).astype(np.uint8)
                y, x = rng.integers(0, 20, 2)
                pixels[y : y + 12, x : x + 12] = colour
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def run(folder, out, *options):
    command = ["train", "classifier", str(folder), "--out", str(out), "--arch", "slim"]
    command += ["--start", "none", "--size", "32", "--batch-size", "16", "--learning-rate", "5e-3"]
    return CliRunner().invoke(app, [*command, *options])


def test_the_command_trains_and_writes_weights_metrics_and_card(folder, tmp_path):
    out = tmp_path / "made" / "red.safetensors"
    result = run(folder, out, "--epochs", "6", "--precision", "float32")
    assert result.exit_code == 0, result.output
    metrics = json.loads(out.with_suffix(".metrics.json").read_text())
    assert metrics["test"]["all"] >= 0.9
    assert metrics["images"] == {"train": 80, "validation": 20, "test": 20}
    card = out.with_suffix(".md").read_text()
    assert "## Use and limits" in card
    assert str(tmp_path) not in card
    assert not out.with_suffix(".checkpoint").exists()
    classifier = load(f"resnet50:{out}")
    red, blue = np.zeros((2, 32, 32, 3), np.uint8) + 120
    red[8:22, 8:22], blue[8:22, 8:22] = (220, 30, 30), (30, 30, 220)
    scores = classifier.score(np.stack([red, blue]))
    assert scores[0] > 0.5 > scores[1]


def arrays_of(folder):
    index = index_dataset(folder)
    return [decode_samples(index.samples[s], 32, 32) for s in SPLITS]


def trainer(arrays, checkpoint, config=SMALL):
    return ClassifierTrainer(config, arrays[0], arrays[1], checkpoint=checkpoint)


@pytest.mark.parametrize(("batch_size", "epochs"), [("200", "5"), ("79", "1"), ("2", "1")])
def test_any_number_of_steps_and_batches_can_be_trained(folder, tmp_path, batch_size, epochs):
    """80 images; of batches of 79, one image was left over, which the network cannot train on."""
    out = tmp_path / "any.safetensors"
    result = run(folder, out, "--epochs", epochs, "--batch-size", batch_size)
    assert result.exit_code == 0, result.output
    assert out.is_file()


class StoppedError(Exception):
    """Stops a training."""


def test_a_resumed_training_ends_like_an_uninterrupted_one(folder, tmp_path):
    config = replace(SMALL, epochs=3, localization_weight=0.0)
    arrays = arrays_of(folder)
    whole = trainer(arrays, tmp_path / "whole", config)
    whole.run()

    stopped = trainer(arrays, tmp_path / "stopped", config)
    save = stopped._save

    def stop_in_epoch_2():
        if stopped.state.epoch == 2:
            raise StoppedError
        save()

    stopped._save = stop_in_epoch_2
    with pytest.raises(StoppedError):
        stopped.run()
    resumed = trainer(arrays, tmp_path / "stopped", config)
    assert resumed.resume()
    assert resumed.state.epoch == 1
    resumed.run()
    assert resumed.state.history == whole.state.history
    for key, value in whole.state.best_weights.items():
        assert torch.equal(value, resumed.state.best_weights[key]), key


def test_another_configuration_is_not_resumed(folder, tmp_path):
    arrays = arrays_of(folder)
    trainer(arrays, tmp_path / "c")._save()
    other = replace(SMALL, learning_rate=0.5)
    with pytest.raises(UsageError, match="another configuration"):
        trainer(arrays, tmp_path / "c", other).resume()
    assert not trainer(arrays, tmp_path / "none").resume()


def test_training_starts_from_given_weights(folder, tmp_path):
    first = trainer(arrays_of(folder), tmp_path / "c")
    state, path = first.module.state_dict(), tmp_path / "w.safetensors"
    write_weights(path, state, architecture="slim", spec=first.spec, digest="")
    second = trainer(arrays_of(folder), tmp_path / "d", replace(SMALL, start=str(path)))
    for key, value in state.items():
        assert torch.allclose(second.module.state_dict()[key], value, rtol=1e-3, atol=1e-4), key


def coloured_squares(count=64, side=64):
    """Images with one red, green or blue square: classes 1, 2 and 3."""
    rng = np.random.default_rng(0)
    images = rng.integers(90, 150, (count, side, side, 3)).astype(np.uint8)
    class_maps = np.zeros((count, side, side), np.uint8)
    boxes = []
    for n in range(count):
        y, x = rng.integers(0, side - 16, 2)
        images[n, y : y + 16, x : x + 16] = np.eye(3, dtype=np.uint8)[n % 3] * 200 + 20
        class_maps[n, y : y + 16, x : x + 16] = n % 3 + 1
        boxes.append(((int(x), int(y), 16, 16),))
    unsafe = np.arange(count) % 3 == 0
    classes = tuple((n % 3 + 1,) for n in range(count))
    instance_maps = class_maps * unsafe[:, None, None]
    groups = ("all",) * count
    return ImageArrays(images, unsafe, instance_maps, class_maps, tuple(boxes), classes, groups)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_object_pretraining_learns_the_classes(tmp_path, precision, caplog):
    """In either precision: autocast must not keep the cast weights of the first step."""
    caplog.set_level("INFO", "counterveil.lab.training")
    config = TrainConfig(
        architecture="slim", start="none", object_pretraining_epochs=8, epochs=1, batch_size=8,
        learning_rate=3e-3, precision=precision, seed=1,
    )  # fmt: skip
    arrays = coloured_squares()
    ClassifierTrainer(config, arrays, arrays, checkpoint=tmp_path / "c").run()
    for stage, epochs, accuracy in (("thumbnails", 8, 0.9), ("crops", 4, 0.7)):
        logged = [
            line for line in caplog.messages if line.startswith(f"object pretraining, {stage} ")
        ]
        assert len(logged) == epochs
        assert float(logged[-1].split()[-1]) > accuracy


def test_auxiliary_heads_leave_no_hook():
    from counterveil.classifiers.architectures import build_network, last_stages

    module = build_network("slim")
    pretrainer = ObjectPretrainer(
        module, coloured_squares(8), epochs=1, batch_size=8, learning_rate=1e-3, seed=0
    )
    assert all(stage._forward_hooks for stage in last_stages(module))
    pretrainer._head.detach_hooks()
    assert not any(stage._forward_hooks for stage in last_stages(module))


def test_the_localization_loss_is_high_where_visible_objects_are_missed():
    from counterveil.classifiers.architectures import build_network

    module = build_network("slim")
    head = LocalizationHead(module, (64, 64))
    images, target = torch.rand(2, 3, 64, 64), torch.zeros(2, 64, 64)
    target[0, :32] = 1
    for layer in head.heads:  # predict "nothing unsafe" everywhere
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, -20.0)
    losses = []
    for each in (target, torch.zeros(2, 64, 64)):
        head.run_backbone(module, images)
        losses.append(float(head.loss(each).detach()))
    assert losses[1] < 1e-3 < losses[0]


def test_training_on_scenes_end_to_end(tmp_path):
    data = scene_folder(tmp_path / "scenes", 120, (64, 64))
    config = replace(SMALL, object_pretraining_epochs=1, background_augmentation=0.5, epochs=1)
    train_classifier(
        data, tmp_path / "any.safetensors", config,
        category="any", unsafe=None, size=64, resume=False,
    )  # fmt: skip
    metrics = json.loads((tmp_path / "any.metrics.json").read_text())
    assert set(metrics["test"]) >= {"all", "unsafe", "safe_when_unsafe_objects_veiled"}
    assert metrics["config"]["object_pretraining_epochs"] == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--out", "weights.pt"], "safetensors"),
        (["--arch", "vgg"], "vgg"),
        (["--start", "missing.safetensors"], "missing.safetensors"),
        (["--precision", "int8"], "int8"),
    ],
)
def test_wrong_options_are_errors(folder, tmp_path, monkeypatch, options, word):
    monkeypatch.chdir(tmp_path)
    result = run(folder, tmp_path / "x.safetensors", "--epochs", "1", *options)
    assert result.exit_code != 0
    assert word in result.output + str(result.exception)


def test_missing_imagenet_weights_are_an_error(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    result = run(folder, tmp_path / "x.safetensors", "--arch", "resnet18", "--start", "imagenet")
    assert result.exit_code != 0
    assert "--start none" in result.output + str(result.exception)
    shutil.rmtree(tmp_path, ignore_errors=True)
