"""Measures of attribution maps, on maps whose right figure is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from counterveil.cli import app
from counterveil.lab.benchmarks import bench_attribution
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.datasets import SceneDataset, load_pictograms
from counterveil.lab.benchmarks.metrics import (
    area_under_curve,
    blur,
    deletion_auc,
    energy_pointing_game,
    impute,
    insertion_auc,
    pixel_order,
    pointing_game,
    road,
)

SIDE = 64
TRUTH = np.zeros((SIDE, SIDE), bool)
TRUTH[20:30, 10:20] = True
IMAGE = np.full((SIDE, SIDE, 3), 90, np.uint8)
IMAGE[TRUTH] = (250, 10, 10)
RIGHT = TRUTH.astype(np.float32)
WRONG = 1 - RIGHT


def share_of_red(images):
    """P(unsafe): the part of the object's pixels that are red."""
    return (images[..., 0].astype(int) - images[..., 1] > 200).sum(axis=(1, 2)) / TRUTH.sum()


def order(attribution_map):
    return pixel_order(attribution_map, np.random.default_rng(0))


def single(row, column):
    attribution_map = np.zeros((SIDE, SIDE), np.float32)
    attribution_map[row, column] = 1
    return attribution_map


@pytest.mark.parametrize(
    ("at", "hit"),
    [((25, 15), 1), ((25, 34), 1), ((25, 35), 0), ((44, 19), 1), ((45, 19), 0), ((40, 30), 0)],
)
def test_the_maximum_may_miss_the_object_by_15_pixels(at, hit):
    # The object's last row is 29 and its last column 19; (40, 30) is 11 and 11 beside: 15.6.
    assert pointing_game(single(*at), TRUTH) == hit


def test_shared_maxima_count_by_their_share():
    two = single(25, 15) + single(60, 60)
    assert pointing_game(two, TRUTH) == 0.5
    assert pointing_game(np.zeros_like(two), TRUTH, tolerance=0) == TRUTH.mean()


def test_energy_is_the_share_on_the_object():
    assert energy_pointing_game(RIGHT, TRUTH) == 1
    assert energy_pointing_game(WRONG, TRUTH) == 0
    assert energy_pointing_game(3 * single(25, 15) + single(0, 0), TRUTH) == 0.75
    assert energy_pointing_game(np.ones_like(RIGHT), TRUTH) == pytest.approx(TRUTH.mean())
    assert energy_pointing_game(np.zeros_like(RIGHT), TRUTH) == 0


def test_areas_are_of_trapezoids():
    assert area_under_curve(np.array([1.0, 1.0, 1.0])) == 1
    assert area_under_curve(np.array([1.0, 0.5, 0.0])) == 0.5
    assert area_under_curve(np.array([1.0, 0.0, 0.0, 0.0])) == pytest.approx(1 / 6)


def test_a_map_of_the_truth_deletes_at_once_and_one_of_the_rest_at_last():
    part = TRUTH.mean()
    steps = 1024  # four pixels each, so that the trapezoids are exact
    best = deletion_auc(IMAGE, share_of_red, order(RIGHT), steps=steps)
    worst = deletion_auc(IMAGE, share_of_red, order(WRONG), steps=steps)
    assert best == pytest.approx(part / 2)
    assert worst == pytest.approx(1 - part / 2)


def test_a_map_of_the_truth_inserts_at_once():
    assert share_of_red(blur(IMAGE)[None])[0] < 0.2
    best = insertion_auc(IMAGE, share_of_red, order(RIGHT), steps=64)
    worst = insertion_auc(IMAGE, share_of_red, order(WRONG), steps=64)
    assert best > 0.95 and worst < 0.2


def test_a_flat_map_scores_as_chance_does():
    flat = deletion_auc(IMAGE, share_of_red, order(np.zeros_like(RIGHT)), steps=64)
    assert flat == pytest.approx(0.5, abs=0.06)


def test_the_order_is_by_attribution_and_has_every_pixel():
    attribution_map = np.random.default_rng(1).random((SIDE, SIDE)).astype(np.float32)
    pixels = order(attribution_map)
    assert (np.diff(attribution_map.ravel()[pixels]) <= 0).all()
    assert (np.sort(pixels) == np.arange(SIDE**2)).all()


def test_imputed_pixels_are_the_mean_of_their_neighbours():
    rng = np.random.default_rng(0)
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[30:40, 5:60] = hidden[:3, :3] = True
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[:, None, None] * 3, (SIDE, SIDE, 3))
    # A plane is its own mean, except beside the edge of the image.
    filled = impute(ramp, hidden, rng=rng, noise=0)
    assert (filled[30:40] == ramp[30:40]).all()
    assert (filled[~hidden] == ramp[~hidden]).all()
    assert (impute(ramp, np.zeros_like(hidden), rng=rng) == ramp).all()
    noisy = impute(np.full_like(ramp, 100), hidden, rng=rng, noise=0.02)[hidden].astype(int)
    assert noisy.std() == pytest.approx(0.02 * 255, rel=0.1)


def theirs():
    from counterveil.classifiers.architectures import import_torchvision

    import_torchvision()  # before pytorch-grad-cam, which imports it too
    return pytest.importorskip("pytorch_grad_cam.metrics.road")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_is_that_of_pytorch_grad_cam(share):
    import torch

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 31, 3)).astype(np.uint8)
    hidden = rng.random(image.shape[:2]) < share
    known = torch.from_numpy((~hidden).astype(np.float32))
    planes = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)
    imputer = theirs().NoisyLinearImputer(noise=0)
    expected = imputer(planes, known).permute(1, 2, 0).numpy()
    ours = impute(image, hidden, rng=rng, noise=0).astype(np.float32)
    assert np.abs(ours - expected).max() <= 0.501  # rounded to 8 bits


def test_road_is_that_of_pytorch_grad_cam():
    import torch

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)
    attribution_map = rng.random((20, 20), np.float32)  # no two are equal, so that the order is one
    weights = torch.from_numpy(rng.normal(size=(3, 20, 20)).astype(np.float32) / 5e4)

    class Model(torch.nn.Module):
        def forward(self, planes):
            return (planes * weights).flatten(1).sum(1, keepdim=True)

    def score(images):
        planes = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
        return Model()(planes)[:, 0].double().numpy()

    module = theirs()
    planes = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    targets = [lambda output: output[0]]
    expected = {}
    for name in ("MostRelevantFirst", "LeastRelevantFirst"):
        values = []
        for share in (0.2, 0.5):
            # Percentiles of what stays; the code hides from the percentile upwards.
            metric = getattr(module, f"ROAD{name}")(100 * (1 - share))
            metric.perturbation.imputer.noise = 0
            values.append(metric(planes, attribution_map[None], targets, Model())[0])
        expected[name] = np.mean(values)
    found = road(image, score, order(attribution_map), rng=rng, shares=(0.2, 0.5), noise=0)
    assert found.morf == pytest.approx(expected["MostRelevantFirst"], abs=5e-4)
    assert found.lerf == pytest.approx(expected["LeastRelevantFirst"], abs=5e-4)
    assert found.combined == (found.lerf - found.morf) / 2


def test_road_separates_a_right_map_a_wrong_map_and_chance():
    def of(attribution_map):
        rng = np.random.default_rng(0)
        return road(IMAGE, share_of_red, order(attribution_map), rng=rng, shares=(0.2, 0.5))

    right, wrong = of(RIGHT), of(WRONG)
    assert right.morf == pytest.approx(-1) and right.lerf == pytest.approx(0)
    assert right.combined == pytest.approx(-wrong.combined, abs=0.01)
    assert right.combined == pytest.approx(0.5)


class InterruptionError(Exception):
    """The benchmark is interrupted."""


@pytest.fixture
def small(monkeypatch):
    """Two maps, on few scenes."""
    monkeypatch.setattr(bench_attribution, "NAMES", ("gradcam", "occlusion"))
    return bench_attribution.Size(scenes=2, steps=4, road=1, shares=(0.3,))


def test_an_interrupted_benchmark_is_resumed(small, tmp_path):
    path, settings = tmp_path / "x.jsonl", bench_attribution.settings(small)

    def run(resume, most):
        calls = []

        def step():
            calls.append(1)
            if len(calls) > most:
                raise InterruptionError

        checkpoint = Checkpoint(path, settings, resume=resume, step=step)
        results = bench_attribution.run(small, device="cpu", checkpoint=checkpoint)
        assert len(calls) == bench_attribution.step_count(small)
        return results

    with pytest.raises(InterruptionError):
        run(False, 9)
    kept = len(path.read_text().splitlines())
    assert kept == 1 + 4  # the settings, and whole parts of two scenes
    results = run(True, 10**6)
    assert results == bench_attribution.run(small, device="cpu")
    rows = results["attributions"]
    assert set(rows) == {"gradcam", "occlusion", "noise"}
    for row in rows.values():
        assert row["all"]["images"] == 6
        assert row["all"]["pointing_game"]["n"] == 6 and row["all"]["road"]["n"] == 3
    assert rows["gradcam"]["all"]["energy"]["mean"] > rows["noise"]["all"]["energy"]["mean"]


def test_noise_has_the_energy_of_the_object_s_area():
    classifier = load_pictograms().classifiers[0]
    scene = SceneDataset(bench_attribution.SEED).flagged_images(classifier, 1)[0]
    found = energy_pointing_game(bench_attribution._noise_map(classifier, scene), scene.truth)
    assert found == pytest.approx(scene.truth.mean(), rel=0.05)


def test_the_command_writes_results_and_a_page(small, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_attribution, "QUICK", small)
    out, page = tmp_path / "a.json", tmp_path / "a.md"
    words = ["bench", "attribution", "--quick", "--out", str(out), "--markdown", str(page)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["measured"]["size"]["scenes"] == 2
    text = page.read_text()
    assert "`counterveil bench attribution --quick --out" in text
    assert "2 per category, 1 of them for ROAD" in text
    assert text.count("| noise | ") == 4 and "ROAD, combined" in text
    assert not list(tmp_path.glob("*.partial*"))
