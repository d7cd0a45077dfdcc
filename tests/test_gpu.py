"""What a GPU must not change; `pytest -m gpu`, skipped where there is none.

COUNTERVEIL_TEST_DEVICE names another device than cuda; cpu tries the tests themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from counterveil import attribution, classifiers, profiles
from counterveil.categories import PAPER_CATEGORIES
from counterveil.fills import fill
from counterveil.images import decode_clean, encode_png, load
from counterveil.lab.scenes import draw_scene

DEVICE = os.environ.get("COUNTERVEIL_TEST_DEVICE", "cuda")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no GPU here"),
]


@pytest.mark.parametrize("key", PAPER_CATEGORIES)
def test_scores_and_maps_are_those_of_the_cpu(key):
    here, there = (classifiers.load(f"pictograms:{key}", device=name) for name in ("cpu", DEVICE))
    scenes = [draw_scene(3, n, split="test", category=key).pixels for n in range(16)]
    images = np.stack(scenes)
    assert np.allclose(here.score(images), there.score(images), atol=0.02)
    unsafe = draw_scene(3, 0, split="test", category=key, kind="unsafe").pixels
    for name in ("fullgrad", "gradcam", "ablationcam"):
        method = attribution.make(name)
        attribution_maps = [method(classifier, unsafe).ravel() for classifier in (here, there)]
        assert np.corrcoef(*attribution_maps)[0, 1] > 0.99


def test_what_is_released_is_verified_and_safe_pixels_stay():
    pipeline = profiles.load("pictograms", reasoner="", device=DEVICE)
    for key in PAPER_CATEGORIES:
        pixels = draw_scene(4, 0, split="test", category=key, kind="unsafe").pixels
        examination = pipeline.examine(encode_png(pixels))
        results = {result.key: result for result in examination.record.categories}
        if results[key].flagged:
            assert results[key].counterfactual.verified
        released, veil = decode_clean(examination.veiled), load(examination.mask)[0].pixels
        veiled = veil[..., 0] > 127
        assert veiled.any() == any(result.flagged for result in results.values())
        assert (released[~veiled] == pixels[~veiled]).all()


def test_masks_on_the_device_score_as_images_made_before():
    classifier = classifiers.load("pictograms:self_harm", device=DEVICE)
    image = draw_scene(5, 0, split="test", category="self_harm", kind="unsafe").pixels
    masks = np.random.default_rng(0).random((40, *image.shape[:2])) < 0.3
    black = fill("black")
    veiled = classifier.score_masked(image, black.painted(image))
    if DEVICE != "cpu":
        assert np.allclose(veiled(masks), classifier.score(black(image, masks)), atol=1e-4)
    else:
        assert veiled is None


@pytest.mark.parametrize(
    "words",
    [
        ["throughput.py", "--quick"],
        ["tokens.py", "--tokens", "8", "--rounds", "1"],
    ],
)
def test_the_benchmarks_run_there(words):
    script, *options = words
    command = [sys.executable, str(BENCHMARKS / script), *options, "--device", DEVICE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and all(line["device"] for line in lines)
