"""Occlusion against Definition 2, on a black box."""

import numpy as np
import pytest

from counterveil.attribution.occlusion import Occlusion
from counterveil.errors import UsageError
from counterveil.types import ModelInfo
from tests.attribution import nets


class RedShare:
    """P = mean of the red channel minus a quarter of the blue one."""

    info = ModelInfo("red")

    def __init__(self):
        self.batches = []

    def score(self, images):
        self.batches.append(len(images))
        red, blue = (images[..., channel].mean(axis=(1, 2)) / 255 for channel in (0, 2))
        return np.clip(red - 0.25 * blue, 0, 1)


def scene():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4, :4, 0] = 255  # quadrant 0 is red: P = 0.25
    image[4:, 4:, 2] = 255  # quadrant 3 is blue: P falls by 0.0625
    return image


def test_map_is_the_loss_of_confidence():
    attribution_map = Occlusion()(
        RedShare(), scene(), labels=nets.quadrants(8, 8), fill=nets.black_fill
    )
    assert attribution_map.dtype == np.float32
    assert np.allclose(attribution_map[:4, :4], 0.25 - 0.0625)
    assert (attribution_map[4:] == 0).all()  # hiding the blue raises the score: no negative values
    assert (attribution_map[:, 4:] == 0).all()


def test_negative_labels_are_never_hidden():
    labels = nets.quadrants(8, 8) - 1  # the red quadrant is now -1
    attribution_map = Occlusion()(RedShare(), scene(), labels=labels, fill=nets.black_fill)
    assert (attribution_map == 0).all()


@pytest.mark.parametrize(
    ("options", "batches"),
    [
        ({}, [1, 4]),
        ({"batch_size": 3}, [1, 3, 1]),
        ({"max_pixels": 130}, [1, 2, 2]),  # 64 pixels an image
        ({"max_pixels": 1}, [1, 1, 1, 1, 1]),
    ],
)
def test_batches_are_bounded(options, batches):
    classifier = RedShare()
    labels = nets.quadrants(8, 8)
    attribution_map = Occlusion(**options)(classifier, scene(), labels=labels, fill=nets.black_fill)
    assert classifier.batches == batches
    assert np.allclose(attribution_map.max(), 0.1875)


def test_black_is_the_default_fill():
    def red(image, masks):
        return np.where(masks[..., None], np.array([255, 0, 0], np.uint8), image[None])

    labels = nets.quadrants(8, 8)
    assert (Occlusion()(RedShare(), scene(), labels=labels, fill=red) == 0).all()
    assert Occlusion()(RedShare(), scene(), labels=labels).max() > 0


class ScoresMasks(RedShare):
    """Composites by itself, in its own way."""

    def score_masked(self, image, paint):
        return lambda masks: 0.25 - masks[:, :4, :4].mean(axis=(1, 2)) / 5 + paint.mean()


def test_a_classifier_that_scores_masks_is_asked_for_them():
    classifier = ScoresMasks()
    attribution_map = Occlusion()(classifier, scene(), labels=nets.quadrants(8, 8))
    assert np.allclose(attribution_map[:4, :4], 0.25 - 0.0625 - 0.05)
    assert classifier.batches == [1]  # the image as it is


def test_labels_are_required():
    assert Occlusion.needs_regions
    with pytest.raises(UsageError, match="pass labels"):
        Occlusion()(RedShare(), scene())
    with pytest.raises(UsageError, match=r"labels \(4, 4\) do not have the image's size \(8, 8\)"):
        Occlusion()(RedShare(), scene(), labels=nets.quadrants(4, 4), fill=nets.black_fill)
