"""Many images in one call: compiled side by side, and as one batch by torch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.errors import UsageError
from counterveil.segmentation.bass import Bass, segmentation
from counterveil.segmentation.connectivity import connect
from tests.segmentation.checking import assert_partition, noise, photograph


def pictures():
    """Of several sizes, a pixel and a line among them."""
    return [
        photograph("coffee", 90),
        photograph("astronaut", 64),
        np.zeros((1, 1, 3), np.uint8),
        photograph("chelsea", 120),
        noise(3, 40),
        photograph("rocket", 90)[:, ::-1],
        noise(33, 20),
    ]


def attribution_maps(images):
    """Of every other image, brightness; of the rest none."""
    return [image.mean(axis=-1) if at % 2 else None for at, image in enumerate(images)]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == np.int32
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "bass",
    [Bass(), Bass(size=9, sweeps=4), Bass(size=30, shrink=6, color_std=0.01), Bass.published()],
    ids=["default", "small", "shrunk by six", "published"],
)
@pytest.mark.parametrize("guided", [False, True])
def test_a_batch_has_the_labels_of_each_alone(bass, guided):
    images = pictures()
    attribution_map = attribution_maps(images) if guided else [None] * len(images)
    alone = [bass(image, guidance=one) for image, one in zip(images, attribution_map, strict=True)]
    assert_same(bass.batched(images, attribution_map, device="cpu"), alone)
    assert_same(bass.many(images, guidance=attribution_map), alone)


def test_small_batches_make_no_difference(monkeypatch):
    images = pictures()
    whole = Bass().batched(images, attribution_maps(images), device="cpu")
    monkeypatch.setattr(segmentation, "_PIXELS", 9000)
    sizes = []
    batch = Bass._batch
    monkeypatch.setattr(Bass, "_batch", lambda *given: sizes.append(len(given[1])) or batch(*given))
    assert_same(Bass().batched(images, attribution_maps(images), device="cpu"), whole)
    assert sum(sizes) == len(images)
    assert max(sizes) > 1
    assert len(sizes) > 2


@given(st.integers(1, 24), st.integers(1, 24), st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_regions_of_a_batch_are_connected_and_named_in_reading_order(height, width, size, seed):
    images = [noise(height, width, seed), noise(width, height, seed + 1) // 16]
    for image, labels in zip(
        images, Bass(size=size).batched(images, [None, None], device="cpu"), strict=True
    ):
        assert_partition(labels, image.shape[:2])
        np.testing.assert_array_equal(labels, connect(labels))


def test_a_wanted_number_is_had_of_each_image():
    images = [photograph("coffee", 40), photograph("rocket", 50)]
    for device in ("cpu", "cuda"):  # counting is done on the CPU, wherever the rest runs
        found = Bass(count=12).many(images, device=device)
        assert [int(labels.max()) + 1 for labels in found] == [12, 12]


def test_no_images_no_labels():
    assert Bass().many([]) == []
    assert Bass().batched([], [], device="cpu") == []


def test_what_does_not_fit_is_refused():
    image = noise(8, 8)
    with pytest.raises(UsageError, match="2 images and 1 guidances"):
        Bass().many([image, image], guidance=[None])
    with pytest.raises(UsageError, match="one image at a time"):
        Bass(acceptance="hastings").many([image])
    with pytest.raises(UsageError, match="expected a uint8 image"):
        Bass().many([image, image[..., 0]])
    with pytest.raises(UsageError, match="does not fit"):
        Bass().many([image], guidance=[np.ones((4, 8))])
    with pytest.raises(UsageError, match="no device is called 'nowhere'"):
        Bass().many([image], device="nowhere")
