"""Every segmentation keeps the contract of `Segmentation`."""

import numpy as np
import pytest

from counterveil.errors import UsageError
from counterveil.segmentation import SEGMENTATIONS, make
from tests.segmentation.checking import assert_partition, noise, photograph

OFFLINE = [name for name in SEGMENTATIONS if name != "sam"]  # test_sam.py tests sam
SHAPES = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 40), (40, 1), (3, 5), (7, 300), (31, 17), (64, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OFFLINE)
def test_any_size_of_noise_becomes_connected_regions(name, shape):
    assert_partition(make(name)(noise(*shape)), shape)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("name", OFFLINE)
def test_an_image_of_one_colour_becomes_connected_regions(name, value):
    image = np.full((45, 70, 3), value, dtype=np.uint8)
    assert_partition(make(name)(image), (45, 70))


@pytest.mark.parametrize("name", OFFLINE)
def test_a_photograph_has_the_same_regions_each_time(name):
    image = photograph("coffee", 120)
    before = image.copy()
    image.flags.writeable = False
    first = make(name)(image, rng=np.random.default_rng(5))
    assert_partition(first, image.shape[:2])
    assert first.max() > 2
    assert np.array_equal(first, make(name)(image, rng=np.random.default_rng(5)))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", OFFLINE)
def test_a_strided_view_has_the_regions_of_its_copy(name):
    view = photograph("coffee", 90)[::2, ::-1]
    assert np.array_equal(make(name)(view), make(name)(view.copy()))


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize(
    ("image", "guidance", "message"),
    [
        (np.zeros((0, 4, 3), np.uint8), None, "expected a uint8 image"),
        (np.zeros((4, 4), np.uint8), None, "expected a uint8 image"),
        (np.zeros((4, 4, 4), np.uint8), None, "expected a uint8 image"),
        (np.zeros((4, 4, 3), np.float32), None, "expected a uint8 image"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.float32), "does not fit"),
        (np.zeros((4, 4, 3), np.uint8), np.full((4, 4), -1, np.float32), "non-negative"),
        (np.zeros((4, 4, 3), np.uint8), np.full((4, 4), np.nan, np.float32), "finite"),
    ],
)
def test_malformed_input_is_refused(name, image, guidance, message):
    with pytest.raises(UsageError, match=message):
        make(name)(image, guidance=guidance)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="bass, slic, felzenszwalb, watershed, quickshift, sam"):
        make("mosaic")


def test_an_unknown_option_is_refused():
    with pytest.raises(UsageError, match=r"'slic'.*colour"):
        make("slic", colour=3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("slic", {"n_segments": 25, "compactness": 1.0}),
        ("felzenszwalb", {"scale": 500, "sigma": 0.5, "min_size": 200}),
        ("watershed", {"markers": 25, "compactness": 0.001}),
        ("quickshift", {"kernel_size": 4, "max_dist": 200, "ratio": 0.2}),
    ],
)
def test_defaults_are_the_published_ones(name, expected):
    assert {key: getattr(make(name), key) for key in expected} == expected
