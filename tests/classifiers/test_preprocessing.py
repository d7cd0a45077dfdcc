from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from counterveil.attribution import make
from counterveil.classifiers.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec, View
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.types import ModelInfo

PIXELS = {"mean": (0, 0, 0), "std": (1 / 255, 1 / 255, 1 / 255)}
"""Leaves values in [0, 255] as they are."""
CORNERS = tuple(
    View(row, column, mirrored) for row in (0, 1) for column in (0, 1) for mirrored in (False, True)
)


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def test_by_default_images_are_squashed_and_normalised():
    images = torch.from_numpy(random_images(2, 30, 50))
    pixels = images.permute(0, 3, 1, 2).float()
    pixels = functional.interpolate(pixels, size=(24, 24), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (IMAGENET_MEAN, IMAGENET_STD))
    assert torch.equal(InputSpec(24, 24).to_input(images), (pixels - mean) / std)


def test_aligned_corners_keep_the_corner_pixels():
    image = random_images(1, 30, 50)
    spec = InputSpec(7, 9, **PIXELS, antialias=False, align_corners=True)
    resized = spec.to_input(torch.from_numpy(image))[0].permute(1, 2, 0).numpy()
    for corner in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
        assert resized[corner] == pytest.approx(image[0][corner], abs=1e-3)


def test_the_jpeg_step_comes_before_the_crop():
    image = random_images(1, 64, 64)
    stream = io.BytesIO()
    Image.fromarray(image[0]).save(stream, "JPEG", quality=75)
    expected = np.asarray(Image.open(stream))[8:-8, 8:-8]
    spec = InputSpec(48, 48, **PIXELS, resized=(64, 64), jpeg_quality=75)
    result = spec.to_input(torch.from_numpy(image))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_the_jpeg_step_takes_no_image():
    spec = InputSpec(8, 8, jpeg_quality=75)
    assert spec.to_input(torch.zeros(0, 20, 30, 3, dtype=torch.uint8)).shape == (0, 3, 8, 8)


def test_views_of_an_image_follow_each_other():
    images = random_images(2, 10, 12)
    views = (View(0, 0), View(1, 1, mirrored=True), View())
    spec = InputSpec(8, 8, **PIXELS, resized=(10, 12), views=views)
    result = spec.to_input(torch.from_numpy(images)).permute(0, 2, 3, 1).numpy()
    assert result.shape == (6, 8, 8, 3)
    for number, image in enumerate(images):
        for view, crop in enumerate([image[:8, :8], image[2:, 4:][:, ::-1], image[1:9, 2:10]]):
            np.testing.assert_allclose(result[3 * number + view], crop, atol=1e-3)


@pytest.mark.parametrize("views", [CORNERS, (View(),), (View(0.3, 0.8, mirrored=True), View())])
def test_maps_return_by_the_way_the_pixels_came(views):
    # The mean of <view(x), map> over the views is <x, returned map>: one is the other's adjoint.
    spec = InputSpec(8, 7, **PIXELS, resized=(10, 12), views=views)
    images = torch.from_numpy(random_images(2, 10, 12)[..., :1].repeat(3, -1))
    maps = torch.rand(2 * len(views), 8, 7)
    forth = (spec.to_input(images)[:, 0] * maps).sum((1, 2)).view(2, -1).mean(1)
    back = (images[..., 0] * spec.to_image_maps(maps, (10, 12))).sum((1, 2))
    torch.testing.assert_close(forth, back, rtol=1e-4, atol=1e-2)


class Redness(nn.Module):
    """Logits 0 and the mean of red above a limit; a ReLU network with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        with torch.no_grad():
            self.conv.weight[:] = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1) / 9
            self.conv.bias[:] = -0.2
        self.linear = nn.Linear(1, 2)
        with torch.no_grad():
            self.linear.weight[:] = torch.tensor([[0.0], [40]])
            self.linear.bias[:] = torch.tensor([0.0, -1])

    def forward(self, pixels):
        return self.linear(self.conv(pixels).relu().mean((2, 3)))


def redness(views, **options):
    spec = InputSpec(
        48, 48, mean=(0, 0, 0), std=(1, 1, 1), resized=(64, 64), views=views, jpeg_quality=90
    )
    return TorchClassifier(Redness(), info=ModelInfo("red"), input_spec=spec, **options)


def with_patch(row, column):
    image = np.full((100, 140, 3), 128, np.uint8)
    image[row : row + 16, column : column + 16] = (255, 0, 0)
    return image


def test_a_score_is_the_mean_over_the_views():
    images = np.stack([with_patch(0, 0), with_patch(40, 60), with_patch(84, 124)])
    alone = [redness((view,)).score(images) for view in CORNERS]
    assert np.ptp(alone, axis=0).max() > 0.01
    for batch_size in (1, 8, 100):  # fewer than the views of one image, as many, many more
        scores = redness(CORNERS, batch_size=batch_size).score(images)
        np.testing.assert_allclose(scores, np.mean(alone, axis=0), rtol=1e-6)
    assert redness(CORNERS).score(images[:0]).shape == (0,)


def test_masks_are_seen_by_all_views():
    image, classifier = with_patch(0, 0), redness(CORNERS)
    masks = np.zeros((2, 100, 140), bool)
    masks[1, :16, :16] = True
    paint = np.zeros_like(image)
    score = classifier._score_masked(image, paint)
    composites = np.where(masks[..., None], paint, image)
    np.testing.assert_allclose(score(masks), classifier.score(composites), rtol=1e-6)


@pytest.mark.parametrize("method", ["fullgrad", "gradcam", "ablationcam"])
@pytest.mark.parametrize("row", [0, 42, 84])
@pytest.mark.parametrize("column", [0, 30, 124])
def test_attributions_find_the_thing_where_it_is_in_the_image(method, row, column):
    # The centre view alone would not see a patch in a corner.
    attribution_map = make(method)(redness(CORNERS), with_patch(row, column))
    assert attribution_map.shape == (100, 140)
    total = attribution_map.sum()
    near = attribution_map[max(0, row - 6) : row + 22, max(0, column - 6) : column + 22].sum()
    assert near > 0.8 * total > 0
