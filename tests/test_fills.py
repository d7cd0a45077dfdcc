from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from counterveil.errors import UsageError
from counterveil.fills import COLOURS, Fill, fill

CONSTANT = ("black", "white", "grey", "#12ab9f")
DERIVED = ("blur", "blur:1/16", "blur:0.5", "pixelate", "pixelate:1", "pixelate:8")


@st.composite
def images_and_masks(draw):
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    batch = draw(st.integers(0, 4))
    image = draw(arrays(np.uint8, (height, width, 3)))
    return image, draw(arrays(np.bool_, (batch, height, width)))


def scene(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", CONSTANT + DERIVED)
@settings(max_examples=25, deadline=None)
@given(case=images_and_masks())
def test_pixels_outside_the_mask_are_bit_identical(name, case):
    image, masks = case
    before = image.copy()
    veiled = fill(name)(image, masks)
    assert veiled.shape == (len(masks), *image.shape) and veiled.dtype == np.uint8
    for one, mask in zip(veiled, masks, strict=True):
        assert np.array_equal(one[~mask], image[~mask])
    assert np.array_equal(image, before)
    assert not np.shares_memory(veiled, image)


@pytest.mark.parametrize("name", CONSTANT)
@settings(max_examples=25, deadline=None)
@given(case=images_and_masks(), seed=st.integers(0, 2**32 - 1))
def test_a_constant_fill_is_independent_of_the_hidden_pixels(name, case, seed):
    image, masks = case
    noise = np.random.default_rng(seed).integers(0, 256, image.shape, dtype=np.uint8)
    for mask in masks:
        other = np.where(mask[..., None], noise, image)
        first, second = (fill(name)(each, mask[None]) for each in (image, other))
        assert np.array_equal(first, second)
        assert len(np.unique(first[0][mask], axis=0)) <= 1


@pytest.mark.parametrize(
    ("name", "colour"),
    [("black", (0, 0, 0)), ("white", (255,) * 3), ("grey", (128,) * 3), ("#0A10fF", (10, 16, 255))],
)
def test_constant_fills_have_their_colour(name, colour):
    veiled = fill(name)(scene(), np.ones((1, 64, 96), bool))
    assert (veiled == colour).all()


@pytest.mark.parametrize("name", CONSTANT + DERIVED)
def test_a_batch_equals_its_masks_one_by_one(name):
    image, masks = scene(), np.random.default_rng(1).random((5, 64, 96)) < 0.5
    together = fill(name)(image, masks)
    for one, mask in zip(together, masks, strict=True):
        assert np.array_equal(one, fill(name)(image, mask[None])[0])


@pytest.mark.parametrize("name", CONSTANT + DERIVED)
def test_views_and_read_only_arrays_are_veiled_too(name):
    image, masks = scene()[::2, ::-1], np.ones((96, 32, 2), bool).T
    image.flags.writeable = False
    masks[1] = False
    veiled = fill(name)(image, masks)
    assert np.array_equal(veiled[1], image)
    assert np.array_equal(veiled, fill(name)(image.copy(), masks.copy()))


def test_only_derived_fills_carry_the_risk():
    assert [fill(name).reversible_risk for name in CONSTANT] == [False] * len(CONSTANT)
    assert [fill(name).reversible_risk for name in DERIVED] == [True] * len(DERIVED)


@pytest.mark.parametrize("name", [*COLOURS, *CONSTANT, *DERIVED, " Black ", "BLUR:0.10"])
def test_a_fills_name_is_read_back_as_the_same_fill(name):
    made = fill(name)
    assert fill(made.name) == made
    assert fill(made.name).name == made.name


@pytest.mark.parametrize(
    "name",
    [
        *("", "blck", "noise", "black\n2", "#12", "#12345g", "#0000000", "black:2", "#000000:1"),
        *("black:", "blur:", "blur:1e9", "blur:nan", "blur:-1", "blur:1/0", "blur:1/2/3"),
        *("pixelate:", "pixelate:x", "pixelate:²"),
    ],
)
def test_an_unknown_fill_is_refused_with_the_choices(name):
    with pytest.raises(UsageError, match="choose black, white, grey, #rrggbb, blur"):
        fill(name)


@pytest.mark.parametrize(
    "name",
    ["blur:0", "blur:0.05", "blur:1/17", "blur:2", "pixelate:0", "pixelate:9", "pixelate:2.5"],
)
def test_a_fill_that_is_too_weak_is_refused(name):
    with pytest.raises(UsageError, match="shorter side"):
        fill(name)


@pytest.mark.parametrize(
    "masks",
    [
        np.ones((64, 96), bool),
        np.ones((1, 96, 64), bool),
        np.full((1, 64, 96), 255, np.uint8),
        np.ones((1, 64, 96, 1), bool),
    ],
)
def test_masks_of_another_shape_or_type_are_refused(masks):
    with pytest.raises(UsageError, match=r"masks are bool \(batch, 64, 96\)"):
        fill("black")(scene(), masks)


@pytest.mark.parametrize("name", ["blur", "pixelate"])
@pytest.mark.parametrize("scale", [1, 4])
def test_the_strength_follows_the_size_of_the_image(name, scale):
    small = scene(64, 64)
    large = np.repeat(np.repeat(small, scale, 0), scale, 1)
    mask = np.ones((1, *large.shape[:2]), bool)
    shrunk = fill(name)(large, mask)[0][scale // 2 :: scale, scale // 2 :: scale]
    assert np.abs(shrunk.astype(int) - fill(name)(small, mask[:, :64, :64])[0]).mean() < 4


@pytest.mark.parametrize("name", DERIVED)
def test_no_detail_survives_under_a_derived_fill(name):
    board = np.indices((128, 128)).sum(0) // 8 % 2 * 255  # squares of a sixteenth of the side
    image = np.repeat(board[..., None], 3, 2).astype(np.uint8)
    veiled = fill(name)(image, np.ones((1, 128, 128), bool))[0].astype(int)
    inner = veiled[24:-24, 24:-24]
    assert np.ptp(inner) < 40  # of 255


@pytest.mark.parametrize(("blocks", "shape"), [(1, (40, 40)), (4, (40, 80)), (8, (90, 41))])
def test_a_pixelated_image_has_as_many_colours_as_blocks(blocks, shape):
    image = scene(*shape)
    veiled = fill(f"pixelate:{blocks}")(image, np.ones((1, *shape), bool))[0]
    along = round(max(shape) / (min(shape) / blocks))
    assert len(np.unique(veiled.reshape(-1, 3), axis=0)) <= blocks * along
    assert np.abs(veiled.mean((0, 1)) - image.mean((0, 1))).max() < 1


def test_an_image_smaller_than_its_blocks_is_still_veiled():
    image = scene(2, 3)
    for name in DERIVED:
        assert fill(name)(image, np.ones((1, 2, 3), bool)).shape == (1, 2, 3, 3)


def test_fills_are_compared_by_value():
    assert fill("black") == fill("BLACK")
    assert fill("black") != fill("white")
    assert isinstance(hash(fill("blur")), int)
    assert isinstance(fill("grey"), Fill)
