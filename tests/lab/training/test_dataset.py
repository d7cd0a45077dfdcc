"""Folders of scenes and of images become indexed and decoded data sets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from counterveil.errors import UsageError
from counterveil.lab.scenes import OBJECT_KINDS, coco, draw_scene
from counterveil.lab.training.dataset import (
    ANY_CATEGORY,
    SPLITS,
    check_decoded,
    decode_samples,
    index_dataset,
)


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
    index = index_dataset(image_folder(tmp_path, {"unsafe": 300, "fine": 200, "other": 100}))
    counts = [len(index.samples[split]) for split in SPLITS]
    assert sum(counts) == 600
    assert abs(counts[0] - 480) < 40
    assert abs(counts[1] - 60) < 30
    assert sum(sample.unsafe for split in SPLITS for sample in index.samples[split]) == 300
    assert not index.has_masks


def test_the_split_of_an_image_does_not_depend_on_other_images(tmp_path):
    few = index_dataset(image_folder(tmp_path / "few", {"unsafe": 100, "safe": 100}))
    more = index_dataset(image_folder(tmp_path / "more", {"unsafe": 150, "safe": 100}))
    before = {i.path.relative_to(tmp_path / "few"): s for s in SPLITS for i in few.samples[s]}
    after = {i.path.relative_to(tmp_path / "more"): s for s in SPLITS for i in more.samples[s]}
    assert all(after[path] == split for path, split in before.items())


def test_split_folders_are_used(tmp_path):
    for split, count in zip(SPLITS, (6, 4, 2), strict=True):
        image_folder(tmp_path / split, {"bad": count, "good": count})
    index = index_dataset(tmp_path, unsafe="bad")
    assert [len(index.samples[split]) for split in SPLITS] == [12, 8, 4]


def test_an_unknown_class_is_an_error_that_names_the_classes(tmp_path):
    with pytest.raises(UsageError, match="'unsafe'; has bad, good"):
        index_dataset(image_folder(tmp_path, {"bad": 3, "good": 3}))


def test_all_splits_and_classes_without_an_image_are_named_at_once(tmp_path):
    for split, counts in {
        "train": {"bad": 2, "good": 3, "plain": 0},
        "validation": {"good": 1},
        "test": {"bad": 1},
    }.items():
        image_folder(tmp_path / split, counts)
    with pytest.raises(UsageError) as error:
        index_dataset(tmp_path, unsafe="bad")
    assert str(error.value).startswith(
        f"{tmp_path}: the split 'validation' has 0 images of the class 'bad', the split 'test' has "
        "0 images of the class 'good'; each needs at least 1. Add images."
    )
    image_folder(tmp_path / "more" / "train", {"bad": 1, "good": 1, "plain": 1})
    (tmp_path / "more" / "validation").mkdir()
    with pytest.raises(UsageError) as error:
        index_dataset(tmp_path / "more", unsafe="bad")
    for split in ("validation", "test"):
        for what in ("of the class 'bad'", "of the classes 'good' or 'plain'"):
            assert f"the split '{split}' has 0 images {what}" in str(error.value)
    assert "'train' has" not in str(error.value)


def test_a_folder_without_splits_names_what_its_few_images_do_not_fill(tmp_path):
    with pytest.raises(UsageError, match="divided 80/10/10 by a hash of their names") as error:
        index_dataset(image_folder(tmp_path, {"unsafe": 1, "safe": 1}))
    assert str(error.value).count("has 0 images") == 4


def test_a_misnamed_split_is_an_error_that_gives_the_names(tmp_path):
    for split in ("train", "val", "test"):
        image_folder(tmp_path / split, {"unsafe": 2, "safe": 2})
    with pytest.raises(UsageError, match="called train, validation and test"):
        index_dataset(tmp_path)


def test_scenes_that_lack_a_class_in_a_split_are_an_error(tmp_path):
    with pytest.raises(UsageError) as error:
        index_dataset(scene_folder(tmp_path, 4), category=ANY_CATEGORY)
    for split in ("validation", "test"):
        for name in ("unsafe", "safe"):
            what = f"'{split}' has 0 images of the class '{name}' in any category"
            assert what in str(error.value)
    assert "counterveil scenes" in str(error.value)
    assert index_dataset(tmp_path, category=ANY_CATEGORY, required=()).samples["train"]


def test_a_class_whose_images_cannot_be_read_is_an_error(tmp_path):
    for split in SPLITS:
        image_folder(tmp_path / split, {"unsafe": 2, "safe": 2})
    index = index_dataset(tmp_path)
    for path in (tmp_path / "test" / "unsafe").iterdir():
        path.write_bytes(b"no image")
    arrays = {split: decode_samples(index.samples[split], 8, 8) for split in SPLITS}
    with pytest.raises(UsageError, match="'test' has 0 images of the class 'unsafe'; it needs at"):
        check_decoded(tmp_path, index, arrays)


def test_unreadable_images_are_left_out_and_logged(tmp_path, caplog):
    index = index_dataset(image_folder(tmp_path, {"unsafe": 60, "safe": 60}))
    samples = index.samples["train"]
    samples[3].path.write_bytes(b"no image")
    arrays = decode_samples(samples, 16, 24)
    assert len(arrays) == len(samples) - 1
    assert len(arrays.unsafe) == len(arrays.groups) == len(arrays.boxes) == len(arrays)
    assert arrays.images.shape[1:] == (16, 24, 3)
    assert len(caplog.messages) == 1
    assert samples[3].path.name in caplog.messages[0]


@pytest.mark.parametrize("masked", [60, 50])
def test_masks_beside_the_classes_are_read(tmp_path, masked):
    image_folder(tmp_path, {"unsafe": 60, "safe": 60})
    for number in range(masked):
        path = tmp_path / "masks" / "unsafe" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros((20, 20), np.uint8)
        mask[2:6, 2:8] = mask[10:14, 10:18] = 255
        Image.fromarray(mask).save(path)
    index = index_dataset(tmp_path)
    assert index.has_masks == (masked == 60)
    assert not index.has_classes
    arrays = decode_samples(index.samples["train"], 20, 20)
    for sample, objects in zip(index.samples["train"], arrays.instance_maps, strict=True):
        counts = np.bincount(objects.ravel(), minlength=3).tolist()
        assert counts == ([344, 24, 32] if sample.mask else [400, 0, 0])
        assert bool(sample.mask) == (sample.unsafe and int(sample.path.stem) < masked)


def test_scenes_of_other_categories_are_safe(tmp_path):
    index = index_dataset(scene_folder(tmp_path, 120), category="self_harm")
    assert index.has_masks
    samples = [sample for split in SPLITS for sample in index.samples[split]]
    assert {sample.group for sample in samples} == {"unsafe", "safe", "lookalike", "other"}
    others = [sample for sample in samples if sample.group == "other"]
    assert not any(sample.unsafe for sample in others)
    assert not any(each["unsafe"] for sample in others for each in sample.objects)


def test_scenes_need_a_category(tmp_path):
    with pytest.raises(UsageError, match="any"):
        index_dataset(scene_folder(tmp_path, 20))


def test_scenes_are_decoded_with_their_annotations(tmp_path):
    index = index_dataset(scene_folder(tmp_path, 60, (96, 96)), category=ANY_CATEGORY)
    arrays = decode_samples(index.samples["train"], 96, 96)
    for number, sample in enumerate(index.samples["train"]):
        scene = next(s for s in coco.load(tmp_path) if s.image == sample.path)
        assert arrays.unsafe[number] == any(scene.labels.values())
        assert (
            (arrays.instance_maps[number] > 0) == arrays.instance_maps[number].astype(bool)
        ).all()
        kinds = {list(OBJECT_KINDS)[a["category_id"] - 1] for a in scene.annotations}
        shown = {list(OBJECT_KINDS)[k - 1] for k in np.unique(arrays.class_maps[number]) if k}
        assert shown == kinds
        ids = [index for index, kind in enumerate(OBJECT_KINDS.values(), 1) if kind.unsafe]
        unsafe = np.isin(arrays.class_maps[number], ids)
        assert (unsafe == (arrays.instance_maps[number] > 0)).all()
