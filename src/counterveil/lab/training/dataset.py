"""Training images from a folder: index, splits, labels, and decoded arrays."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

import numpy as np
from PIL import Image as Pillow
from scipy.ndimage import label

from counterveil.errors import ImageError, UsageError
from counterveil.images import load as load_image
from counterveil.lab.scenes import coco
from counterveil.lab.training.loop import track
from counterveil.types import Mask

logger = logging.getLogger(__name__)

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
MASKS_FOLDER = "masks"
"""Folder beside the class folders that holds masks (PNG) under the names of the images."""
ANY_CATEGORY = "any"
"""Used instead of a category: an image is unsafe if it is unsafe in any category."""
_OTHER_CATEGORY_RATE = 1 / 3
"""Scenes of other categories for each scene of the trained category; they are safe examples."""

MIN_IMAGES = 1  # of each class in each split

Box = tuple[int, int, int, int]  # x, y, width, height, in pixels


Annotation = Mapping[str, Any]
"""COCO annotation of one object; ``unsafe`` refers to the trained category."""


@dataclass(frozen=True)
class Sample:
    """One labelled image."""

    path: Path  # of the image
    unsafe: bool  # its label
    group: str  # for metrics: unsafe, safe, lookalike or other (a scene of another category)
    objects: tuple[Annotation, ...] = ()  # annotations; empty if not annotated
    mask: Path | None = None  # file with unsafe pixels in white, for images without annotations


@dataclass(frozen=True)
class DatasetIndex:
    """The samples of a folder, by split."""

    samples: dict[SplitName, tuple[Sample, ...]]  # of each split
    has_masks: bool  # whether the unsafe pixels of every unsafe image are known
    has_classes: bool  # whether objects are annotated with their class
    unsafe_name: str  # what unsafe images are, for people: "of the class 'unsafe'"
    safe_name: str  # what safe images are
    digest: str  # sha256 of splits, names and labels


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """Decoded images, resized to the input size of the network."""

    images: np.ndarray  # (N, h, w, 3) uint8
    unsafe: np.ndarray  # (N,) bool
    # (N, h, w) uint8: number of the unsafe object at each pixel, or 0
    instance_maps: np.ndarray
    # (N, h, w) uint8: class of the object at each pixel, unsafe or not, or 0
    class_maps: np.ndarray
    boxes: tuple[tuple[Box, ...], ...]  # one tuple of boxes for each image, in pixels of images
    box_classes: tuple[tuple[int, ...], ...]  # class of each box
    groups: tuple[str, ...]  # group of each image, as in :class:`Sample`

    def __len__(self) -> int:
        return len(self.images)


def check_counts(data: Path, counts: Mapping[SplitName, Mapping[str, int]], advice: str) -> None:
    """Check that no split lacks images.

    Args:
        data: what was read.
        counts: number of images by split and by what they are, such as "of the class 'unsafe'".
        advice: a sentence on what to do.

    Raises:
        UsageError: names all splits and classes with too few images.
    """
    missing = [
        f"the split {split!r} has {count} images {what}"
        for split, by_class in counts.items()
        for what, count in by_class.items()
        if count < MIN_IMAGES
    ]
    if missing:
        needed = f"{'each' if len(missing) > 1 else 'it'} needs at least {MIN_IMAGES}"
        raise UsageError(f"{data}: {', '.join(missing)}; {needed}. {advice}")


def index_dataset(
    folder: Path,
    *,
    category: str | None = None,
    unsafe: str | None = None,
    required: Sequence[SplitName] = SPLITS,
) -> DatasetIndex:
    """List the samples of a folder of scenes or of an ImageFolder.

    Args:
        folder: scenes, or an ImageFolder with one folder for each class, either directly (split
            80/10/10 by a hash of each name) or below ``train``, ``validation`` and ``test``. A
            folder ``masks`` beside the class folders may hold masks of unsafe images: same
            subfolders and names, suffix ``.png``, unsafe pixels white.
        category: trained category of the scenes, or ``any``.
        unsafe: unsafe class of an ImageFolder; ``unsafe`` if ``None``.
        required: splits that need unsafe and safe images.

    Raises:
        UsageError: the folder is neither, the category or class is not in it, or a split lacks
            unsafe or safe images.
    """
    if (folder / coco.MANIFEST).is_file():
        index = _index_scenes(folder, category)
        advice = "Draw more scenes with `counterveil scenes`."
    else:
        index = _index_image_folder(folder, unsafe or "unsafe")
        advice = (
            "Add images. Without folders train, validation and test, images are divided 80/10/10 "
            "by a hash of their names."
        )
    check_counts(
        folder,
        {
            split: _count_classes(index, [sample.unsafe for sample in index.samples[split]])
            for split in required
        },
        advice,
    )
    return index


def check_decoded(data: Path, index: DatasetIndex, arrays: Mapping[SplitName, ImageArrays]) -> None:
    """Check that enough images of each class could be read.

    Raises:
        UsageError: names all splits and classes with too few images.
    """
    counts = {split: _count_classes(index, found.unsafe) for split, found in arrays.items()}
    check_counts(data, counts, "Images that could not be read do not count; replace them.")


def _count_classes(index: DatasetIndex, unsafe: Iterable[bool]) -> dict[str, int]:
    """Number of unsafe and safe images, by their names for people."""
    labels = [bool(label) for label in unsafe]
    return {
        index.unsafe_name: labels.count(True),
        index.safe_name: labels.count(False),
    }


def _index_scenes(folder: Path, category: str | None) -> DatasetIndex:
    scenes = coco.load(folder)
    known = sorted({scene.category for scene in scenes})
    if category != ANY_CATEGORY and category not in known:
        raise UsageError(
            f"{folder} holds scenes; pass --category with one of {', '.join(known)}, "
            f"or {ANY_CATEGORY}"
        )
    samples: dict[SplitName, list[Sample]] = {split: [] for split in SPLITS}
    for scene in scenes:
        own = category in (ANY_CATEGORY, scene.category)
        # A fixed share of the other categories' scenes, chosen by name and not by a draw.
        rate = _OTHER_CATEGORY_RATE / max(1, len(known) - 1)
        if own or _unit_hash(scene.image.name) < rate:
            samples[scene.split].append(_scene_sample(scene, category, own))  # type: ignore[index]
    name = "any category" if category == ANY_CATEGORY else f"the category {category!r}"
    return _index(
        samples,
        has_masks=True,
        has_classes=True,
        unsafe_name=f"of the class 'unsafe' in {name}",
        safe_name=f"of the class 'safe' in {name}",
    )


def _scene_sample(scene: coco.SceneFile, category: str, own: bool) -> Sample:
    objects = tuple({**each, "unsafe": bool(each["unsafe"]) and own} for each in scene.annotations)
    labels = scene.labels
    unsafe = any(labels.values()) if category == ANY_CATEGORY else bool(labels[category])
    return Sample(scene.image, unsafe, scene.kind if own else "other", objects)


def iterate_image_folder(folder: Path) -> Iterator[tuple[Path, SplitName, str, Path]]:
    """Yield path, split, class and root (the parent of the class folders) of each file.

    Raises:
        UsageError: the folder holds no class folders.
    """
    names = {path.name for path in _class_folders(folder)}
    # A folder with train and validation alone lacks a split; it has no classes of these names.
    has_splits = names >= set(SPLITS) or ("train" in names and names <= set(SPLITS))
    roots: list[tuple[SplitName | None, Path]] = (
        [(name, folder / name) for name in SPLITS] if has_splits else [(None, folder)]
    )
    if not any(_class_folders(root) for _, root in roots):
        raise UsageError(f"{folder} holds no class folders; put the images of each class in one")
    for name, root in roots:
        classes = _class_folders(root)
        for path in sorted(p for c in classes for p in c.rglob("*") if p.is_file()):
            relative = path.relative_to(root)
            yield path, name or _split_of(relative.as_posix()), relative.parts[0], root


def _class_folders(root: Path) -> list[Path]:
    return sorted(p for p in root.glob("*") if p.is_dir() and p.name != MASKS_FOLDER)


def _index_image_folder(folder: Path, unsafe_class: str) -> DatasetIndex:
    samples: dict[SplitName, list[Sample]] = {name: [] for name in SPLITS}
    classes: set[str] = set()
    for path, split, name, root in iterate_image_folder(folder):
        classes.add(name)
        unsafe = name == unsafe_class
        mask = (root / MASKS_FOLDER / path.relative_to(root)).with_suffix(".png")
        known_mask = mask if unsafe and mask.is_file() else None
        group = "unsafe" if unsafe else "safe"
        samples[split].append(Sample(path, unsafe, group, mask=known_mask))
    if unsafe_class not in classes or len(classes) < 2:
        hint = "; folders of splits are called train, validation and test"
        raise UsageError(
            f"{folder} needs at least two class folders with images, one of them {unsafe_class!r}; "
            f"has {', '.join(sorted(classes)) or 'none'}{hint if 'train' in classes else ''}"
        )
    has_masks = all(sample.mask for sample in samples["train"] if sample.unsafe)
    others = sorted(classes - {unsafe_class})
    return _index(
        samples,
        has_masks=has_masks,
        has_classes=False,
        unsafe_name=f"of the class {unsafe_class!r}",
        safe_name=f"of the class{'es' if len(others) > 1 else ''} "
        + " or ".join(map(repr, others)),
    )


def _split_of(name: str) -> SplitName:
    """80/10/10 by the name alone, so that adding images never moves another to a new split."""
    value = _unit_hash(name)
    return "train" if value < 0.8 else "validation" if value < 0.9 else "test"


def _unit_hash(name: str) -> float:
    """Hash of a name, in ``[0, 1)``."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _index(samples: dict[SplitName, list[Sample]], **properties: Any) -> DatasetIndex:
    digest = hashlib.sha256()
    for split in SPLITS:
        for sample in samples[split]:
            digest.update(f"{split} {sample.path.name} {sample.unsafe}\n".encode())
    frozen = {split: tuple(found) for split, found in samples.items()}
    return DatasetIndex(frozen, digest=digest.hexdigest(), **properties)


def decode_samples(
    samples: Sequence[Sample], height: int, width: int, *, description: str = "decoding"
) -> ImageArrays:
    """Decode and resize images once; unreadable ones are logged and left out.

    The arrays are memory maps of unnamed temporary files, so that a data set may be larger than
    the main memory.
    """
    images = _memory_map((len(samples), height, width, 3))
    instance_maps = _memory_map((len(samples), height, width))
    class_maps = _memory_map((len(samples), height, width))
    kept: list[Sample] = []
    for sample in track(samples, description, len(samples)):
        try:
            pixels = load_image(sample.path)[0].pixels
            mask = load_image(sample.mask)[0].pixels[..., 0] if sample.mask else None
        except ImageError as error:
            logger.warning(f"left out {sample.path}: {error}")
            continue
        row = len(kept)
        images[row] = _resize(pixels, height, width)
        _draw_objects(sample, instance_maps[row], class_maps[row])
        if mask is not None:
            components = label(_resize(mask, height, width) > 127)[0]
            instance_maps[row] = np.minimum(components, 255)
        kept.append(sample)
    count = len(kept)
    return ImageArrays(
        images[:count],
        np.array([sample.unsafe for sample in kept]),
        instance_maps[:count],
        class_maps[:count],
        tuple(_scaled_boxes(sample, height, width) for sample in kept),
        tuple(tuple(each["category_id"] for each in sample.objects) for sample in kept),
        tuple(sample.group for sample in kept),
    )


def annotation_mask(annotation: Annotation) -> Mask:
    """Pixels of an annotated object, ``(H, W)`` bool."""
    segmentation = annotation["segmentation"]
    return coco.decode_rle(tuple(segmentation["size"]), list(segmentation["counts"]))


def _draw_objects(sample: Sample, instance_map: np.ndarray, class_map: np.ndarray) -> None:
    """Write the objects of a sample into its ``(h, w)`` maps, in place."""
    instance = 0
    for each in sample.objects:
        mask = annotation_mask(each).astype(np.uint8) * 255
        inside = _resize(mask, *instance_map.shape) > 127
        class_map[inside] = each["category_id"]
        if each["unsafe"]:
            instance += 1
            instance_map[inside] = instance


def _scaled_boxes(sample: Sample, height: int, width: int) -> tuple[Box, ...]:
    boxes = []
    for each in sample.objects:
        (x, y, w, h), (rows, columns) = each["bbox"], each["segmentation"]["size"]
        boxes.append(
            (x * width // columns, y * height // rows, w * width // columns, h * height // rows)
        )
    return tuple(boxes)


def _memory_map(shape: tuple[int, ...]) -> np.ndarray:
    with TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BILINEAR))
