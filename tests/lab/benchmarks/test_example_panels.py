"""Example panels show how a veil comes about, and nothing that it hides."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.ndimage import binary_dilation

from counterveil.lab.benchmarks.datasets import SceneDataset, load_pictograms
from counterveil.lab.benchmarks.plots import (
    COLUMNS,
    GAP,
    GREY,
    TITLE_HEIGHT,
    example_panels,
    make_panels,
    safe_part,
)
from counterveil.pipeline import Pipeline


@pytest.fixture(scope="module")
def made():
    """The scene of one category, its panels, and the picture: its bytes and its pixels."""
    profile = load_pictograms()
    pipeline = Pipeline(profile.classifiers[:1], profile.components, config=profile.config)
    scenes = SceneDataset(7)
    data = example_panels(pipeline, scenes)
    with Pillow.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    scene = scenes.flagged_images(pipeline.classifiers[0], 1)[0]
    return scene, make_panels(pipeline, scene), data, pixels


def cut(pixels, column):
    left = TITLE_HEIGHT + column * (224 + GAP)
    return pixels[TITLE_HEIGHT : TITLE_HEIGHT + 224, left : left + 224].astype(int)


def test_panels_are_of_one_size_and_fill_the_picture(made):
    scene, shown, data, pixels = made
    assert [panel.shape for panel in shown] == [scene.image.shape] * len(COLUMNS)
    across, down = 224 + GAP, 224 + GAP
    assert pixels.shape == (
        TITLE_HEIGHT + down - GAP,
        TITLE_HEIGHT + across * len(COLUMNS) - GAP,
        3,
    )
    assert len(data) < 100_000  # a row; all three stay below 300 KB


def test_panels_are_in_the_picture_where_the_columns_say(made):
    _, shown, _, pixels = made
    for column, panel in enumerate(shown):
        # A palette: near, not equal; the panels differ from each other by more than that.
        assert np.abs(cut(pixels, column) - panel).mean() < 6
        other = cut(pixels, (column + 1) % len(COLUMNS))
        assert np.abs(other - panel).mean() > np.abs(cut(pixels, column) - panel).mean()
    assert pixels[:TITLE_HEIGHT, TITLE_HEIGHT:].min() < 100, "no words above the columns"
    assert pixels[TITLE_HEIGHT:, :TITLE_HEIGHT].min() < 100, "no words beside the row"


def test_unsafe_pixels_of_the_original_are_not_shown(made):
    scene, _, _, pixels = made
    near = binary_dilation(scene.truth, np.ones((7, 7), bool))
    hidden = cut(pixels, 0)[near]
    assert len(np.unique(hidden, axis=0)) == 1, "a colour each would draw what is hidden"
    assert np.abs(hidden - GREY).max() <= 8
    assert np.abs(scene.image[scene.truth].astype(int) - GREY).mean() > 30, (
        "nothing was to be hidden"
    )


def test_the_safe_part_is_as_it_was(made):
    scene, _, _, _ = made
    near = binary_dilation(scene.truth, np.ones((7, 7), bool))
    safe = safe_part(scene.image, scene.truth)
    assert safe.dtype == np.uint8
    assert np.array_equal(safe[~near], scene.image[~near])
    assert (safe[near] == GREY).all()


def test_the_overlays_lie_over_the_veiled_image(made):
    scene, (_, attribution_map, regions, veiled), _, _ = made
    mask = (veiled != scene.image).any(axis=2)
    assert mask[scene.truth].mean() > 0.5
    assert (veiled[mask] == 0).all()
    assert np.array_equal(regions[mask], veiled[mask]), "a boundary is drawn inside the veil"
    changed = (regions != veiled).any(axis=2)
    assert 0 < changed.mean() < 0.5
    assert (regions[changed] == (0, 229, 255)).all()
    assert (attribution_map != veiled).any(axis=2).mean() > 0.5
