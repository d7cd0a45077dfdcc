"""Scenes on disk, as COCO's own tools read them."""

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


def test_a_folder_is_read_as_it_was_drawn(folder):
    scenes = coco.load(folder)
    assert [scene.split for scene in scenes] == [SHARES[n % 10] for n in range(20)]
    for number, file in enumerate(scenes):
        scene = draw_scene(3, number, split=file.split)
        assert (load_image(file.image)[0].pixels == scene.pixels).all()
        assert ((load_image(file.mask)[0].pixels[..., 0] > 127) == scene.mask()).all()
        assert file.labels == scene.labels
        assert [a["answer"] for a in file.answers] == [a.answer for a in scene.answers]


def test_coco_reads_it(folder):
    theirs = COCO(str(folder / coco.MANIFEST))
    assert len(theirs.getImgIds()) == 20
    for file in coco.load(folder):
        number = int(file.image.stem)
        for annotation in theirs.loadAnns(theirs.getAnnIds(imgIds=[number])):
            mask = theirs.annToMask(annotation).astype(bool)
            assert mask.sum() == annotation["area"]
            run_lengths = annotation["segmentation"]
            ours = coco.from_run_lengths(tuple(run_lengths["size"]), run_lengths["counts"])
            assert (mask == ours).all()
            x, y, w, h = annotation["bbox"]
            assert mask[y : y + h, x : x + w].sum() == mask.sum()


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_are_cocos(mask):
    counts = coco.run_lengths(mask)
    assert (coco.from_run_lengths(mask.shape, counts) == mask).all()
    packed = coco_mask.frPyObjects({"size": list(mask.shape), "counts": counts}, *mask.shape)
    assert (coco_mask.decode(packed).astype(bool) == mask).all()


def test_an_unfinished_folder_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(UsageError, match="counterveil scenes"):
        coco.load(tmp_path)


def test_no_file_of_an_earlier_drawing_is_believed(folder, tmp_path):
    (tmp_path / coco.MANIFEST).write_text("{}")
    result = CliRunner().invoke(
        app, ["scenes", "--out", str(tmp_path), "--count", "2", "--kind", "nonsense"]
    )
    assert result.exit_code != 0
    assert not (tmp_path / coco.MANIFEST).exists()


def test_the_mask_of_a_picture_is_of_its_size(folder):
    scene = coco.load(folder)[0]
    assert np.shape(load_image(scene.mask)[0].pixels)[:2] == (224, 224)


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_folder_s_place_is_the_caller_s_mistake(tmp_path, monkeypatch, capsys, below):
    (tmp_path / "out").write_text("mine")
    words = ["scenes", "--out", str(tmp_path / "out" / below), "--count", "1"]
    monkeypatch.setattr("sys.argv", ["counterveil", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "no scenes can be written there" in error
    assert error.count("\n") == 1
    assert (tmp_path / "out").read_text() == "mine"
