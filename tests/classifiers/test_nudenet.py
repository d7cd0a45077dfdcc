from __future__ import annotations

import sys

import numpy as np
import pytest
import skimage.data
import skimage.transform

pytest.importorskip("nudenet", reason="the extra 'nudenet' is not installed")

from counterveil.classifiers import nudenet
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.types import Classifier, GradientClassifier

FACES = "FACE_FEMALE+FACE_MALE"
FACE = (slice(70, 190), slice(165, 285))


@pytest.fixture(scope="module")
def faces():
    return nudenet.load(FACES)


@pytest.fixture(scope="module")
def veiled(astronaut):
    veiled = astronaut.copy()
    veiled[FACE] = 0
    return veiled


def test_is_a_black_box_with_info(faces):
    assert isinstance(faces, Classifier)
    assert not isinstance(faces, GradientClassifier)
    assert faces.info.name == f"nudenet:{FACES}"
    assert len(faces.info.sha256) == 64
    assert faces.info.version


def test_a_veiled_face_is_not_detected(faces, astronaut, veiled):
    before, after = faces.score(np.stack([astronaut, veiled]))
    assert before > 0.85
    assert after < 0.1


@pytest.mark.parametrize("name", ["cat", "coffee", "rocket"])
def test_pictures_without_people_score_low(faces, name):
    assert faces.score(getattr(skimage.data, name)()[None])[0] < 0.5


def test_scores_change_before_the_decision(faces, astronaut, veiled):
    shades = [np.uint8(astronaut * (1 - t) + veiled * t) for t in (0.9, 0.94, 0.97, 1.0)]
    scores = faces.score(np.stack(shades))
    assert len(np.unique(scores)) == len(scores)
    assert scores[-1] < 0.5


def test_veiling_one_face_of_two_lowers_the_score(faces, astronaut, veiled):
    pair = [(astronaut, astronaut), (astronaut, veiled), (veiled, veiled)]
    both, one, none = faces.score(np.stack([np.concatenate(p, axis=1) for p in pair]))
    assert both > one + 0.05
    assert one > 0.5 > none


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
@pytest.mark.parametrize("shape", [(200, 600), (600, 200)])
def test_a_face_at_any_border_is_detected(faces, astronaut, edge, shape):
    face = astronaut[40:200, 150:310]
    canvas = np.full((*shape, 3), 128, np.uint8)
    row = {"top": 0, "bottom": shape[0] - 160}.get(edge, (shape[0] - 160) // 2)
    column = {"left": 0, "right": shape[1] - 160}.get(edge, (shape[1] - 160) // 2)
    canvas[row : row + 160, column : column + 160] = face
    assert faces.score(canvas[None])[0] > 0.5


def test_every_pixel_of_a_large_image_counts(faces, astronaut):
    # Sampling every tenth pixel, as plain bilinear shrinking does, would see only the face.
    small = skimage.transform.resize(astronaut, (320, 320), preserve_range=True)
    large = np.full((3200, 3200, 3), 128, np.uint8)
    large[4::10, 4::10] = large[5::10, 5::10] = large[4::10, 5::10] = large[5::10, 4::10] = small
    assert nudenet.load(FACES).score(large[None])[0] < 0.5


def package_decision(detector, image, labels):
    return any(found["class"] in labels for found in detector.detect(image))


def test_decisions_equal_those_of_the_package(faces, astronaut, veiled):
    from nudenet import NudeDetector

    detector = NudeDetector()
    square = skimage.transform.resize(astronaut, (320, 320), preserve_range=True).astype(np.uint8)
    (found,) = detector.detect(square)
    assert faces.score(square[None])[0] == pytest.approx(
        nudenet.calibrate(found["score"]), abs=1e-5
    )
    photos = [astronaut, veiled, skimage.data.cat(), skimage.data.rocket(), square[:, 60:260]]
    for photo in photos:
        assert (faces.score(photo[None])[0] > 0.5) == package_decision(
            detector, photo, FACES.split("+")
        )


def test_scores_of_a_batch_equal_those_of_its_images(faces, astronaut, veiled):
    images = np.stack([astronaut, veiled, astronaut[::-1]])
    alone = [faces.score(image[None])[0] for image in images]
    small = nudenet.NudeNetClassifier(tuple(FACES.split("+")), batch_size=2)
    assert small.score(images) == pytest.approx(alone, abs=1e-4)
    assert faces.score(images[:0]).shape == (0,)


def test_tiny_and_narrow_images_are_scored(faces):
    for shape in [(1, 1, 1, 3), (1, 2, 3000, 3)]:
        assert 0 <= faces.score(np.zeros(shape, np.uint8))[0] < 0.5


def test_calibration_is_monotone_and_maps_the_decision_to_one_half():
    confidences = np.linspace(0, 1, 101)
    assert (np.diff(nudenet.calibrate(confidences)) > 0).all()
    ends_and_decision = nudenet.calibrate([0, nudenet.DECISION_CONFIDENCE, 1])
    assert ends_and_decision == pytest.approx([0, 0.5, 1])


def test_more_objects_do_not_change_the_decision(faces):
    apart = np.array([[50, 50, 20, 20], [200, 200, 20, 20]], float)
    below = np.array([nudenet.DECISION_CONFIDENCE - 0.01] * 2)
    assert faces._image_score(apart, below) == pytest.approx(nudenet.calibrate(below[0]))
    assert faces._image_score(apart, below * 3) > faces._image_score(apart[:1], below[:1] * 3) > 0.5


def test_an_unknown_label_is_refused_with_a_list_of_labels():
    with pytest.raises(UsageError, match=r"no label 'FACES'; choose among .*FACE_FEMALE"):
        nudenet.load("FACES")


def test_an_unavailable_device_is_a_model_error():
    with pytest.raises(ModelError, match="use 'cpu'"):
        nudenet.load(FACES, device="mps")


@pytest.mark.parametrize("name", ["onnxruntime", "cv2", "nudenet"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name}.*counterveil\[nudenet\]"):
        nudenet.load(FACES)


def test_a_broken_detector_is_a_model_error(monkeypatch, tmp_path):
    (tmp_path / "320n.onnx").write_bytes(b"not a network")
    monkeypatch.setattr(nudenet, "_weights_file", lambda: tmp_path / "320n.onnx")
    with pytest.raises(ModelError, match="could not be loaded"):
        nudenet.load(FACES)


def test_a_failing_forward_is_a_model_error(faces, monkeypatch):
    monkeypatch.setattr(nudenet, "INPUT_SIZE", 8)
    with pytest.raises(ModelError, match="could not be run"):
        faces.score(np.zeros((1, 9, 9, 3), np.uint8))
