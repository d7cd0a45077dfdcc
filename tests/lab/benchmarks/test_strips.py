"""Strips of examples show how a veil comes about, and nothing that it hides."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.ndimage import binary_dilation

from counterveil import profiles
from counterveil.lab.benchmarks.strips import BAND, COLUMNS, GAP, GREY, panels, safe_part, strips
from counterveil.lab.benchmarks.subjects import Scenes
from counterveil.pipeline import Pipeline


@pytest.fixture(scope="module")
def made():
    """The scene of one category, its panels, and the picture: its bytes and its pixels."""
    whole = profiles.from_profile("proxy", overrides=profiles.Overrides(reasoner=""))
    pipeline = Pipeline(whole.watches[:1], whole.methods, settings=whole.settings)
    scenes = Scenes(7)
    data = strips(pipeline, scenes)
    with Pillow.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    case = scenes.cases(pipeline.watches[0], 1)[0]
    return case, panels(pipeline, case), data, pixels


def cut(pixels, column):
    left = BAND + column * (224 + GAP)
    return pixels[BAND : BAND + 224, left : left + 224].astype(int)


def test_panels_are_of_one_size_and_fill_the_picture(made):
    case, shown, data, pixels = made
    assert [panel.shape for panel in shown] == [case.image.shape] * len(COLUMNS)
    across, down = 224 + GAP, 224 + GAP
    assert pixels.shape == (BAND + down - GAP, BAND + across * len(COLUMNS) - GAP, 3)
    assert len(data) < 100_000  # a row; all three stay below 300 KB


def test_panels_are_in_the_picture_where_the_columns_say(made):
    _, shown, _, pixels = made
    for column, panel in enumerate(shown):
        # Few colours: near, not equal; the panels differ from each other by more than that.
        assert np.abs(cut(pixels, column) - panel).mean() < 6
        other = cut(pixels, (column + 1) % len(COLUMNS))
        assert np.abs(other - panel).mean() > np.abs(cut(pixels, column) - panel).mean()
    assert pixels[:BAND, BAND:].min() < 100, "no words above the columns"
    assert pixels[BAND:, :BAND].min() < 100, "no words beside the row"


def test_unsafe_pixels_of_the_original_are_not_shown(made):
    case, _, _, pixels = made
    near = binary_dilation(case.truth, np.ones((7, 7), bool))
    hidden = cut(pixels, 0)[near]
    assert len(np.unique(hidden, axis=0)) == 1, "a colour each would draw what is hidden"
    assert np.abs(hidden - GREY).max() <= 8
    assert np.abs(case.image[case.truth].astype(int) - GREY).mean() > 30, "nothing was to be hidden"


def test_the_safe_part_is_as_it_was(made):
    case, _, _, _ = made
    near = binary_dilation(case.truth, np.ones((7, 7), bool))
    safe = safe_part(case.image, case.truth)
    assert safe.dtype == np.uint8
    assert np.array_equal(safe[~near], case.image[~near])
    assert (safe[near] == GREY).all()


def test_the_overlays_lie_over_the_veiled_image(made):
    case, (_, attribution_map, regions, veiled), _, _ = made
    mask = (veiled != case.image).any(axis=2)
    assert mask[case.truth].mean() > 0.5
    assert (veiled[mask] == 0).all()
    assert np.array_equal(regions[mask], veiled[mask]), "a boundary is drawn inside the veil"
    changed = (regions != veiled).any(axis=2)
    assert 0 < changed.mean() < 0.5
    assert (regions[changed] == (0, 229, 255)).all()
    assert (attribution_map != veiled).any(axis=2).mean() > 0.5
