"""The main job with what ships: unsafe scenes in, verified veiled images out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import counterveil
from counterveil.classifiers import load as load_classifier
from counterveil.errors import ModelError
from counterveil.images import decode_clean, load
from counterveil.lab.benchmarks.metrics import mask_overlap
from counterveil.lab.scenes import CATEGORY_KEYS, draw_scene

SEED = 4711


@pytest.fixture(scope="module")
def pictograms():
    """Without its reasoner: what is tested here is what is veiled."""
    return counterveil.load("pictograms", reasoner="")


def unsafe(key, count, **options):
    return [
        draw_scene(SEED, i, split="test", category=key, kind="unsafe", **options)
        for i in range(count)
    ]


def encoded(pixels, suffix="png", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix, **options)
    return file.getvalue()


def mask_of(examination):
    return load(examination.mask)[0].pixels[..., 0] > 127


@pytest.mark.parametrize("key", CATEGORY_KEYS)
def test_the_shipped_classifier_is_small_and_right(key):
    from importlib.resources import files

    file = files("counterveil") / "weights" / f"{key}.safetensors"
    assert len(file.read_bytes()) <= 12_000_000
    for beside in (".md", ".metrics.json"):
        assert (files("counterveil") / "weights" / f"{key}{beside}").is_file()
    classifier = load_classifier(f"pictograms:{key}")
    scenes = [
        draw_scene(SEED, i, split="test", category=key, kind=("unsafe", "lookalike", "safe")[i % 3])
        for i in range(60)
    ]
    scores = np.array([classifier.score(scene.pixels[None])[0] for scene in scenes])
    right = (scores >= 0.5) == [scene.kind == "unsafe" for scene in scenes]
    assert right.mean() >= 0.95


def test_no_other_category_has_one():
    with pytest.raises(ModelError, match="self_harm"):
        load_classifier("pictograms:faces")


@pytest.mark.parametrize("key", CATEGORY_KEYS)
def test_unsafe_objects_are_veiled_and_little_else(pictograms, key):
    found = []
    for scene in unsafe(key, 8):
        examination = pictograms.examine(encoded(scene.pixels), name="scene.png")
        veil, released = mask_of(examination), decode_clean(examination.veiled)
        assert examination.record.status == "ok"
        assert (released[~veil] == scene.pixels[~veil]).all()
        for each in pictograms.classifiers:
            assert each.classifier.score(released[None])[0] < each.category.threshold
        if veil.any():
            found.append(mask_overlap(veil, scene.mask()))
    assert len(found) >= 7
    assert np.mean([one.coverage for one in found]) > 0.8
    assert np.mean([one.precision for one in found]) > 0.5


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_an_object_at_the_border_is_veiled_too(pictograms, edge):
    coverage = []
    for scene in unsafe("cyberbullying", 4, position=edge):
        veil = mask_of(pictograms.examine(encoded(scene.pixels)))
        coverage.append(mask_overlap(veil, scene.mask()).coverage)
    assert np.mean(coverage) > 0.75


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("jpeg", {"quality": 92}),
        ("webp", {"quality": 90}),
        ("tiff", {}),
        ("gif", {}),
    ],
)
def test_safe_pixels_are_those_that_were_decoded(pictograms, suffix, options):
    data = encoded(unsafe("self_harm", 1)[0].pixels, suffix, **options)
    examination = pictograms.examine(data)
    veil, original = mask_of(examination), load(data)[0].pixels
    assert (decode_clean(examination.veiled)[~veil] == original[~veil]).all()


def test_harmless_scenes_are_left_as_they_are(pictograms):
    untouched = 0
    for index in range(8):
        scene = draw_scene(SEED, index, split="test", kind="lookalike")
        examination = pictograms.examine(encoded(scene.pixels))
        untouched += (decode_clean(examination.veiled) == scene.pixels).all()
    assert untouched >= 7


def test_two_categories_in_one_image_are_veiled_together(pictograms):
    """Two scenes side by side, each unsafe in its own way, and flagged for both."""
    keys = ("sexually_explicit", "self_harm")
    classifiers = {each.category.key: each for each in pictograms.classifiers}
    examined, precision = 0, []
    for left, right in zip(*(unsafe(key, 8) for key in keys), strict=True):
        pixels = np.concatenate([left.pixels, right.pixels], axis=1)
        if (
            any(classifiers[k].classifier.score(pixels[None])[0] < 0.5 for k in keys)
            or examined == 2
        ):
            continue  # too small side by side for classifiers that saw one scene at a time
        examined += 1
        examination = pictograms.examine(encoded(pixels))
        results = {c.key: c for c in examination.record.categories}
        veil, released = mask_of(examination), decode_clean(examination.veiled)
        for key, scene, half in zip(keys, (left, right), np.split(veil, 2, axis=1), strict=True):
            assert results[key].flagged
            assert results[key].counterfactual.outcome == "found"
            assert classifiers[key].classifier.score(released[None])[0] < 0.5
            hit = mask_overlap(half, scene.mask())
            assert hit.coverage > 0.5
            precision.append(hit.precision)
        assert (released[~veil] == pixels[~veil]).all()
        assert not examination.record.whole_image_veiled
    assert examined == 2
    assert np.mean(precision) > 0.6


def test_every_record_says_what_these_classifiers_are_not_for(pictograms):
    record = pictograms.examine(encoded(unsafe("self_harm", 1)[0].pixels)).record
    assert any("photographs" in warning for warning in record.warnings)
