"""Pictures show where something is hidden, and nothing of what is hidden."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from counterveil.report import view
from counterveil.report.pictures import (
    MAX_CELLS,
    heatmap_png,
    mask_png,
    regions_png,
    thumbnail,
)
from tests.report.samples import pictures


def decode(data: bytes, mode: str = "RGBA") -> np.ndarray:
    with Pillow.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def test_a_thumbnail_is_small_and_holds_only_pixels():
    picture = thumbnail(np.full((900, 1800, 3), 77, np.uint8))
    assert decode(picture, "RGB").shape == (120, 240, 3)
    assert np.abs(decode(picture, "RGB").astype(int) - 77).max() <= 2
    with Pillow.open(io.BytesIO(picture)) as image:
        assert not set(image.info) & {"exif", "icc_profile", "xmp"}


def test_a_small_image_keeps_its_size():
    assert decode(thumbnail(pictures()["veiled"]), "RGB").shape == (60, 80, 3)


def test_a_map_is_too_coarse_to_draw_what_is_hidden():
    # A map that follows an edge as fine as a pixel comes out the same when the edge moves
    # within its cell: the overlay cannot tell what was there.
    edge, moved = np.zeros((160, 160), np.float32), np.zeros((160, 160), np.float32)
    edge[:, 42], moved[:, 47] = 1, 1
    assert heatmap_png([edge]) == heatmap_png([moved])
    assert max(decode(heatmap_png([np.ones((33, 300), np.float32)])).shape) == MAX_CELLS


def test_a_map_is_strongest_where_the_classifier_looked():
    attribution_map = np.zeros((64, 64), np.float32)
    attribution_map[8:16, 40:48] = 5
    alpha = decode(heatmap_png([attribution_map]))[..., 3]
    assert np.unravel_index(alpha.argmax(), alpha.shape) in {(2, 10), (2, 11), (3, 10), (3, 11)}
    assert alpha[10:].max() == 0


def test_maps_of_several_categories_are_shown_at_equal_strength():
    left, right = np.zeros((16, 16), np.float32), np.zeros((16, 16), np.float32)
    left[:, 0], right[:, 15] = 1, 1000
    alpha = decode(heatmap_png([left, right]))[..., 3]
    assert alpha[0, 0] == alpha[0, 15] == 220


def test_an_empty_map_is_clear():
    assert decode(heatmap_png([np.zeros((20, 20), np.float32)]))[..., 3].max() == 0


def test_no_boundary_is_drawn_inside_the_veil():
    parts = pictures()
    drawn = decode(regions_png(parts["labels"], parts["mask"]))[..., 3] > 0
    assert drawn.any()
    assert not (drawn & parts["mask"]).any()


def test_regions_of_a_smaller_search_fit_the_picture():
    parts = pictures()
    drawn = decode(regions_png(parts["labels"][::2, ::2], parts["mask"]))
    assert drawn.shape == (60, 80, 4)


def test_the_mask_overlay_equals_the_mask():
    mask = pictures()["mask"]
    assert np.array_equal(decode(mask_png(mask))[..., 3] > 0, mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_any_size_can_be_shown(shape):
    mask = np.zeros(shape, bool)
    mask[0, 0] = True
    labels = np.zeros(shape, np.int32)
    shown = view(np.zeros((*shape, 3), np.uint8), mask, [np.ones(shape, np.float32)], labels)
    assert all((shown.veiled, shown.attribution_map, shown.regions, shown.mask))


def test_an_image_without_a_veil_has_no_overlay():
    image = pictures()["veiled"]
    shown = view(image, np.zeros(image.shape[:2], bool))
    assert (shown.attribution_map, shown.regions, shown.mask) == (None, None, None)
