"""What an examination shows, gives and saves."""

from __future__ import annotations

import json

import numpy as np
import pytest

from counterveil.images import decode_clean, encode_png
from tests.pipeline.detectors import BLUE, RED, ColourDetector, make_pipeline, scored, square


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(scored("red", ColourDetector(RED)))


@pytest.fixture(scope="module")
def flagged(pipeline):
    return pipeline.examine(encode_png(square()), name="photo <b>.png")


@pytest.fixture(scope="module")
def broken(pipeline):
    return pipeline.examine(b"no image", name="broken.png")


def test_repr_says_in_three_lines_what_happened(pipeline, flagged, broken):
    clean = pipeline.examine(encode_png(square(BLUE)), name="clean.png")
    for examination, words in [
        (flagged, ["'photo <b>.png'", "Red", "% veiled", "red 0.", " -> 0.", "1 warning"]),
        (clean, ["'clean.png'", "Clean", "0.0 % veiled", "red 0.0"]),
        (broken, ["'broken.png'", "error", "scores: none"]),
    ]:
        text = repr(examination)
        assert len(text.splitlines()) == 3
        assert len(text) < 500
        for word in words:
            assert word in text


def test_a_notebook_shows_the_veiled_image_and_escapes_names(flagged, broken):
    html = flagged._repr_html_()
    assert "photo &lt;b&gt;.png" in html
    assert "data:image/png;base64," in html
    assert "<img" not in broken._repr_html_()


def test_images_are_those_of_the_files(flagged, broken):
    assert (np.asarray(flagged.veiled_image) == decode_clean(flagged.veiled)).all()
    assert set(np.unique(np.asarray(flagged.mask_image))) == {0, 255}
    assert broken.veiled_image is None
    assert broken.mask_image is None


def test_save_writes_the_files_that_the_record_names(tmp_path, flagged):
    path = flagged.save(tmp_path / "new" / "folder")
    outputs = flagged.record.outputs
    assert json.loads(path.read_text()) == flagged.record.to_dict()
    assert (path.parent / outputs.veiled.name).read_bytes() == flagged.veiled
    assert (path.parent / outputs.mask.name).read_bytes() == flagged.mask
    assert len(list(path.parent.iterdir())) == 3


def test_a_failed_examination_removes_what_an_earlier_one_saved(tmp_path, pipeline):
    pipeline.examine(encode_png(square()), name="a.png").save(tmp_path)
    assert (tmp_path / "a.veiled.png").exists()
    pipeline.examine(b"no image", name="a.png").save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
