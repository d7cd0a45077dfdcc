"""Training images from a folder: index, splits, labels, and decoded arrays."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
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


def index_dataset(
    folder: Path, *, category: str | None = None, unsafe: str | None = None
) -> DatasetIndex:
    """List the samples of a folder of scenes or of an ImageFolder.

    Args:
        folder: scenes, or an ImageFolder with one folder for each class, either directly (split
            80/10/10 by a hash of each name) or below ``train``, ``validation`` and ``test``. A
            folder ``masks`` beside the class folders may hold masks of unsafe images: same
            subfolders and names, suffix ``.png``, unsafe pixels white.
        category: trained category of the scenes, or ``any``.
        unsafe: unsafe class of an ImageFolder; ``unsafe`` if ``None``.

    Raises:
        UsageError: the folder is neither, or the category or class is not in it.
    """
    if (folder / coco.MANIFEST).is_file():
        return _index_scenes(folder, category)
    return _index_image_folder(folder, unsafe or "unsafe")


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
    return _index(samples, has_masks=True, has_classes=True)


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
    has_splits = all((folder / name).is_dir() for name in SPLITS)
    roots: list[tuple[SplitName | None, Path]] = (
        [(name, folder / name) for name in SPLITS] if has_splits else [(None, folder)]
    )
    for name, root in roots:
        classes = sorted(p for p in root.glob("*") if p.is_dir() and p.name != MASKS_FOLDER)
        if not classes:
            raise UsageError(f"{root} holds no class folders; put the images of each class in one")
        for path in sorted(p for c in classes for p in c.rglob("*") if p.is_file()):
            relative = path.relative_to(root)
            yield path, name or _split_of(relative.as_posix()), relative.parts[0], root


def _index_image_folder(folder: Path, unsafe_class: str) -> DatasetIndex:
    samples: dict[SplitName, list[Sample]] = {name: [] for name in SPLITS}
    classes: dict[Path, set[str]] = {}
    for path, split, name, root in iterate_image_folder(folder):
        classes.setdefault(root, set()).add(name)
        unsafe = name == unsafe_class
        mask = (root / MASKS_FOLDER / path.relative_to(root)).with_suffix(".png")
        known_mask = mask if unsafe and mask.is_file() else None
        group = "unsafe" if unsafe else "safe"
        samples[split].append(Sample(path, unsafe, group, mask=known_mask))
    for root, names in classes.items():
        if unsafe_class not in names or len(names) < 2:
            raise UsageError(
                f"{root} needs at least two class folders, one of them {unsafe_class!r}; "
                f"has {', '.join(sorted(names))}"
            )
    has_masks = all(sample.mask for sample in samples["train"] if sample.unsafe)
    return _index(samples, has_masks=has_masks, has_classes=False)


def _split_of(name: str) -> SplitName:
    """80/10/10 by the name alone, so that adding images never moves another to a new split."""
    value = _unit_hash(name)
    return "train" if value < 0.8 else "validation" if value < 0.9 else "test"


def _unit_hash(name: str) -> float:
    """Hash of a name, in ``[0, 1)``."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _index(
    samples: dict[SplitName, list[Sample]], *, has_masks: bool, has_classes: bool
) -> DatasetIndex:
    digest = hashlib.sha256()
    for split in SPLITS:
        if len({sample.unsafe for sample in samples[split]}) < 2:
            raise UsageError(f"the {split} split lacks unsafe or safe images; add some")
        for sample in samples[split]:
            digest.update(f"{split} {sample.path.name} {sample.unsafe}\n".encode())
    frozen = {split: tuple(found) for split, found in samples.items()}
    return DatasetIndex(frozen, has_masks, has_classes, digest.hexdigest())


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
