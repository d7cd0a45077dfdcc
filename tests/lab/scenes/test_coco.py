"""Folders of scenes, as we and as COCO's own tools read them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from typer.testing import CliRunner

from counterveil.cli import app, main
from counterveil.errors import UsageError
from counterveil.images import load as load_image
from counterveil.lab.scenes import coco, draw_scene

SHARES = ("train",) * 8 + ("validation", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes")
    result = CliRunner().invoke(
        app, ["scenes", "--out", str(out), "--count", "20", "--seed", "3", "--workers", "2"]
    )
    assert result.exit_code == 0, result.output
    return out


def test_loading_a_folder_returns_the_drawn_scenes(folder):
    scenes = coco.load(folder)
    assert [scene.split for scene in scenes] == [SHARES[n % 10] for n in range(20)]
    for number, file in enumerate(scenes):
        scene = draw_scene(3, number, split=file.split)
        assert (load_image(file.image)[0].pixels == scene.pixels).all()
        assert ((load_image(file.mask)[0].pixels[..., 0] > 127) == scene.mask()).all()
        assert file.labels == scene.labels
        assert [a["answer"] for a in file.answers] == [a.answer for a in scene.answers]


def test_pycocotools_reads_the_annotations(folder):
    api = COCO(str(folder / coco.MANIFEST))
    assert len(api.getImgIds()) == 20
    for file in coco.load(folder):
        number = int(file.image.stem)
        for annotation in api.loadAnns(api.getAnnIds(imgIds=[number])):
            mask = api.annToMask(annotation).astype(bool)
            assert mask.sum() == annotation["area"]
            rle = annotation["segmentation"]
            assert (mask == coco.decode_rle(tuple(rle["size"]), rle["counts"])).all()
            x, y, w, h = annotation["bbox"]
            assert mask[y : y + h, x : x + w].sum() == mask.sum()


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_round_trip_and_match_pycocotools(mask):
    counts = coco.encode_rle(mask)
    assert (coco.decode_rle(mask.shape, counts) == mask).all()
    packed = coco_mask.frPyObjects({"size": list(mask.shape), "counts": counts}, *mask.shape)
    assert (coco_mask.decode(packed).astype(bool) == mask).all()


def test_an_unfinished_folder_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(UsageError, match="counterveil scenes"):
        coco.load(tmp_path)


def test_a_failed_run_leaves_no_earlier_manifest(tmp_path):
    (tmp_path / coco.MANIFEST).write_text("{}")
    result = CliRunner().invoke(
        app, ["scenes", "--out", str(tmp_path), "--count", "2", "--kind", "nonsense"]
    )
    assert result.exit_code != 0
    assert not (tmp_path / coco.MANIFEST).exists()


def test_mask_files_have_the_size_of_the_image(folder):
    scene = coco.load(folder)[0]
    assert np.shape(load_image(scene.mask)[0].pixels)[:2] == (224, 224)


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_place_of_the_folder_is_reported_in_one_line(
    tmp_path, monkeypatch, capsys, below
):
    (tmp_path / "out").write_text("kept")
    arguments = ["scenes", "--out", str(tmp_path / "out" / below), "--count", "1"]
    monkeypatch.setattr("sys.argv", ["counterveil", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert "cannot write scenes to" in error
    assert error.count("\n") == 1
    assert (tmp_path / "out").read_text() == "kept"
