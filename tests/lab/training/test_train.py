"""Training, small: what is written, what is resumed, and that something is learnt."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from counterveil.classifiers import load
from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.lab.training.classifier import Recipe, Trainer
from counterveil.lab.training.data import SPLITS, Arrays, decode, find
from counterveil.lab.training.naming import Namer
from counterveil.lab.training.pointer import Pointer
from counterveil.lab.training.run import train
from tests.lab.training.test_data import scene_folder, silent

SMALL = Recipe(architecture="slim", start="none", epochs=2, batch=16, rate=2e-3, average=0.5)


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
    command += ["--start", "none", "--size", "32", "--batch", "16", "--rate", "5e-3"]
    return CliRunner().invoke(app, [*command, *options])


def test_the_command_learns_and_writes_what_came_of_it(folder, tmp_path):
    out = tmp_path / "made" / "red.safetensors"
    result = run(folder, out, "--epochs", "6", "--precision", "float32")
    assert result.exit_code == 0, result.output
    metrics = json.loads(out.with_suffix(".metrics.json").read_text())
    assert metrics["test"]["all"] >= 0.9
    assert metrics["counts"] == {"train": 80, "validation": 20, "test": 20}
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
    source = find(folder)
    return [decode(source.items[s], 32, 32, warn=pytest.fail, step=silent) for s in SPLITS]


def trainer(arrays, checkpoint, recipe=SMALL):
    return Trainer(
        recipe, arrays[0], arrays[1], checkpoint=checkpoint, report=lambda _: None, step=silent
    )


class StoppedError(Exception):
    """The machine went away."""


def test_a_stopped_training_ends_as_one_that_was_not(folder, tmp_path):
    recipe = Recipe(**{**SMALL.__dict__, "epochs": 3, "pointing": 0.0})
    arrays = arrays_of(folder)
    whole = trainer(arrays, tmp_path / "whole", recipe)
    whole.run()

    def dies(line):
        if line.startswith("epoch 2"):
            raise StoppedError

    stopped = trainer(arrays, tmp_path / "stopped", recipe)
    stopped._report = dies
    with pytest.raises(StoppedError):
        stopped.run()
    resumed = trainer(arrays, tmp_path / "stopped", recipe)
    assert resumed.resume()
    assert resumed.progress.epoch == 1
    resumed.run()
    assert resumed.progress.history == whole.progress.history
    for key, value in whole.best.items():
        assert torch.equal(value, resumed.best[key]), key


def test_another_recipe_is_not_resumed(folder, tmp_path):
    arrays = arrays_of(folder)
    trainer(arrays, tmp_path / "c")._save()
    other = Recipe(**{**SMALL.__dict__, "rate": 0.5})
    with pytest.raises(UsageError, match="another recipe"):
        trainer(arrays, tmp_path / "c", other).resume()
    assert not trainer(arrays, tmp_path / "none").resume()


def test_a_start_from_weights_starts_there(folder, tmp_path):
    first = trainer(arrays_of(folder), tmp_path / "c")
    from counterveil.lab.training import card

    state = first.module.state_dict()
    card.write_weights(tmp_path / "w.safetensors", state, recipe=SMALL, spec=first.spec, digest="")
    recipe = Recipe(**{**SMALL.__dict__, "start": str(tmp_path / "w.safetensors")})
    second = trainer(arrays_of(folder), tmp_path / "d", recipe)
    for key, value in state.items():
        assert torch.allclose(second.module.state_dict()[key], value, rtol=1e-3, atol=1e-4), key


def things(count=64, side=64):
    """Images with a red, green or blue square each: kinds 1, 2 and 3."""
    rng = np.random.default_rng(0)
    images = rng.integers(90, 150, (count, side, side, 3)).astype(np.uint8)
    kinds = np.zeros((count, side, side), np.uint8)
    boxes = []
    for n in range(count):
        y, x = rng.integers(0, side - 16, 2)
        images[n, y : y + 16, x : x + 16] = np.eye(3, dtype=np.uint8)[n % 3] * 200 + 20
        kinds[n, y : y + 16, x : x + 16] = n % 3 + 1
        boxes.append(((int(x), int(y), 16, 16),))
    unsafe = np.arange(count) % 3 == 0
    names = tuple((n % 3 + 1,) for n in range(count))
    return Arrays(
        images, unsafe, kinds * unsafe[:, None, None], kinds, tuple(boxes), names, ("all",) * count
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_things_are_learnt_to_be_named(tmp_path, precision):
    """In either precision: autocast must not hold on to the weights of the first step."""
    said = []
    recipe = Recipe(
        architecture="slim", start="none", naming=8, epochs=1, batch=8, rate=3e-3,
        precision=precision, seed=1,
    )  # fmt: skip
    arrays = things()
    trained = Trainer(
        recipe, arrays, arrays, checkpoint=tmp_path / "c", report=said.append, step=silent
    )
    trained.run()
    right = [float(line.split()[-2]) for line in said if line.startswith("naming thumbnails")]
    assert len(right) == 8
    assert right[-1] > 0.9
    places = [float(line.split()[-2]) for line in said if line.startswith("naming places")]
    assert len(places) == 4
    assert places[-1] > 0.7


def test_heads_that_are_thrown_away_leave_no_hook():
    from counterveil.classifiers.architectures import build_network, last_stages

    module = build_network("slim")
    namer = Namer(module, things(8), passes=1, batch=8, rate=1e-3, seed=0)
    assert all(stage._forward_hooks for stage in last_stages(module))
    namer._tapped.release()
    assert not any(stage._forward_hooks for stage in last_stages(module))


def test_the_pointer_wants_what_is_visible():
    from counterveil.classifiers.architectures import build_network

    module = build_network("slim")
    pointer = Pointer(module, (64, 64))
    images, wanted = torch.rand(2, 3, 64, 64), torch.zeros(2, 64, 64)
    wanted[0, :32] = 1
    for head in pointer.heads:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, -20.0)
    pointer.watch(module, images)
    blind = float(pointer.loss(wanted).detach())
    pointer.watch(module, images)
    assert float(pointer.loss(torch.zeros(2, 64, 64)).detach()) < 1e-3 < blind


def test_scenes_are_trained_on_end_to_end(tmp_path):
    data = scene_folder(tmp_path / "scenes", 120, (64, 64))
    said = []
    train(
        data, tmp_path / "any.safetensors",
        Recipe(**{**SMALL.__dict__, "naming": 1, "grounds": 0.5, "epochs": 1}),
        category="any", unsafe=None, size=64, resume=False, report=said.append,
    )  # fmt: skip
    metrics = json.loads((tmp_path / "any.metrics.json").read_text())
    assert set(metrics["test"]) >= {"all", "unsafe", "safe once every unsafe object is veiled"}
    assert metrics["recipe"]["naming"] == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--out", "weights.pt"], "safetensors"),
        (["--arch", "vgg"], "vgg"),
        (["--start", "missing.safetensors"], "missing.safetensors"),
        (["--precision", "int8"], "int8"),
    ],
)
def test_mistakes_are_answered(folder, tmp_path, monkeypatch, options, word):
    monkeypatch.chdir(tmp_path)
    result = run(folder, tmp_path / "x.safetensors", "--epochs", "1", *options)
    assert result.exit_code != 0
    assert word in result.output + str(result.exception)


def test_imagenet_weights_that_cannot_be_had_are_said(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    result = run(folder, tmp_path / "x.safetensors", "--arch", "resnet18", "--start", "imagenet")
    assert result.exit_code != 0
    assert "--start none" in result.output + str(result.exception)
    shutil.rmtree(tmp_path, ignore_errors=True)
