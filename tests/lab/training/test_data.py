"""Folders to learn from."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from counterveil.errors import UsageError
from counterveil.lab.scenes import OBJECT_KINDS, coco, draw_scene
from counterveil.lab.training.data import ANY, SPLITS, decode, find


def silent():
    pass


def image_folder(root, counts, side=20):
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:04d}.png")
    return root


def scene_folder(root, count=40, size=(64, 64)):
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    shares = ("train",) * 8 + ("validation", "test")
    coco.write_manifest(
        root,
        [
            coco.write_scene(draw_scene(2, n, split=shares[n // 2 % 10], size=size), root, n)
            for n in range(count)
        ],
    )
    return root


def test_an_image_folder_is_split_80_10_10(tmp_path):
    source = find(image_folder(tmp_path, {"unsafe": 300, "fine": 200, "other": 100}))
    counts = [len(source.items[split]) for split in SPLITS]
    assert sum(counts) == 600
    assert abs(counts[0] - 480) < 40
    assert abs(counts[1] - 60) < 30
    assert sum(item.unsafe for split in SPLITS for item in source.items[split]) == 300
    assert not source.masks


def test_a_split_does_not_depend_on_what_else_is_there(tmp_path):
    few = find(image_folder(tmp_path / "few", {"unsafe": 100, "safe": 100}))
    more = find(image_folder(tmp_path / "more", {"unsafe": 150, "safe": 100}))
    where = {i.path.relative_to(tmp_path / "few"): s for s in SPLITS for i in few.items[s]}
    then = {i.path.relative_to(tmp_path / "more"): s for s in SPLITS for i in more.items[s]}
    assert all(then[path] == split for path, split in where.items())


def test_splits_made_by_hand_are_kept(tmp_path):
    for split, count in zip(SPLITS, (6, 4, 2), strict=True):
        image_folder(tmp_path / split, {"bad": count, "good": count})
    source = find(tmp_path, unsafe="bad")
    assert [len(source.items[split]) for split in SPLITS] == [12, 8, 4]


def test_a_name_that_is_not_there_is_answered(tmp_path):
    with pytest.raises(UsageError, match="'unsafe'; has bad, good"):
        find(image_folder(tmp_path, {"bad": 3, "good": 3}))


def test_a_split_without_a_class_is_answered(tmp_path):
    with pytest.raises(UsageError, match="lacks"):
        find(image_folder(tmp_path, {"unsafe": 1, "safe": 1}))


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    source = find(image_folder(tmp_path, {"unsafe": 60, "safe": 60}))
    items = source.items["train"]
    items[3].path.write_bytes(b"no image")
    said = []
    arrays = decode(items, 16, 24, warn=said.append, step=silent)
    assert len(arrays) == len(items) - 1
    assert len(arrays.unsafe) == len(arrays.groups) == len(arrays.boxes) == len(arrays)
    assert arrays.images.shape[1:] == (16, 24, 3)
    assert len(said) == 1
    assert items[3].path.name in said[0]


@pytest.mark.parametrize("masked", [60, 50])
def test_masks_beside_the_classes_are_read(tmp_path, masked):
    image_folder(tmp_path, {"unsafe": 60, "safe": 60})
    for number in range(masked):
        path = tmp_path / "masks" / "unsafe" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros((20, 20), np.uint8)
        mask[2:6, 2:8] = mask[10:14, 10:18] = 255
        Image.fromarray(mask).save(path)
    source = find(tmp_path)
    assert source.masks == (masked == 60)
    assert not source.kinds
    arrays = decode(source.items["train"], 20, 20, warn=pytest.fail, step=silent)
    for item, objects in zip(source.items["train"], arrays.objects, strict=True):
        counts = np.bincount(objects.ravel(), minlength=3).tolist()
        assert counts == ([344, 24, 32] if item.mask else [400, 0, 0])
        assert bool(item.mask) == (item.unsafe and int(item.path.stem) < masked)


def test_scenes_of_other_categories_are_safe_ones(tmp_path):
    source = find(scene_folder(tmp_path, 120), category="self_harm")
    assert source.masks
    items = [item for split in SPLITS for item in source.items[split]]
    assert {item.group for item in items} == {"unsafe", "safe", "lookalike", "other"}
    others = [item for item in items if item.group == "other"]
    assert not any(item.unsafe for item in others)
    assert not any(thing.unsafe for item in others for thing in item.things)


def test_scenes_need_a_category(tmp_path):
    with pytest.raises(UsageError, match="any"):
        find(scene_folder(tmp_path, 20))


def test_scenes_are_decoded_with_what_is_on_them(tmp_path):
    source = find(scene_folder(tmp_path, 60, (96, 96)), category=ANY)
    arrays = decode(source.items["train"], 96, 96, warn=pytest.fail, step=silent)
    for number, item in enumerate(source.items["train"]):
        scene = next(s for s in coco.load(tmp_path) if s.image == item.path)
        assert arrays.unsafe[number] == any(scene.labels.values())
        assert ((arrays.objects[number] > 0) == arrays.objects[number].astype(bool)).all()
        kinds = {list(OBJECT_KINDS)[a["category_id"] - 1] for a in scene.annotations}
        shown = {list(OBJECT_KINDS)[k - 1] for k in np.unique(arrays.kinds[number]) if k}
        assert shown == kinds
        unsafe = np.isin(arrays.kinds[number], [i + 1 for i, k in enumerate(OBJECT_KINDS.values())
                                                if k.unsafe])  # fmt: skip
        assert (unsafe == (arrays.objects[number] > 0)).all()
