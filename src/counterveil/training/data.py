"""Folders of images -> arrays ready to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import numpy as np
from PIL import Image as Pillow

from counterveil.errors import ImageError, UsageError
from counterveil.images import load as load_image
from counterveil.scenes import coco

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
OTHERS_SHARE = 1 / 3
"""Other categories' scenes, for each scene of one's own: they are safe here, and must stay so."""


@dataclass(frozen=True)
class Item:
    """One image to learn from.

    Attributes:
        path: of the image.
        unsafe: its label.
        group: what it is, for the metrics: unsafe, safe, lookalike, other.
        objects: COCO run lengths of each unsafe object; empty where unknown.
    """

    path: Path
    unsafe: bool
    group: str
    objects: tuple[tuple[tuple[int, int], tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Source:
    """A data set, split.

    Attributes:
        items: of each split.
        masks: whether unsafe objects are known by their pixels.
        digest: of the names and labels, for the model card.
    """

    items: dict[SplitName, tuple[Item, ...]]
    masks: bool
    digest: str


@dataclass(frozen=True, eq=False)
class Arrays:
    """Decoded images.

    Attributes:
        images: ``(N, h, w, 3)`` uint8, squashed to the input's size.
        unsafe: ``(N,)`` bool.
        objects: ``(N, h, w)`` uint8: 0, or the number of the unsafe object there.
        groups: a word each.
    """

    images: np.ndarray
    unsafe: np.ndarray
    objects: np.ndarray
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def find(folder: Path, *, category: str | None = None, unsafe: str | None = None) -> Source:
    """What there is to learn in a folder.

    Args:
        folder: scenes, or an ImageFolder: one folder a class, either at once (split 80/10/10 by
            the hash of each name) or below ``train``, ``validation`` and ``test``.
        category: which category of the scenes.
        unsafe: which class of an ImageFolder is the unsafe one; ``unsafe`` where ``None``.

    Raises:
        UsageError: the folder is neither, or a name is missing.
    """
    if (folder / coco.MANIFEST).is_file():
        return _scenes(folder, category)
    return _image_folder(folder, unsafe or "unsafe")


def _scenes(folder: Path, category: str | None) -> Source:
    scenes = coco.load(folder)
    known = sorted({scene.category for scene in scenes})
    if category not in known:
        raise UsageError(f"{folder} holds scenes; name a --category of {', '.join(known)}")
    items: dict[SplitName, list[Item]] = {split: [] for split in SPLITS}
    for scene in scenes:
        own = scene.category == category
        if own or _unit(scene.image.name) < OTHERS_SHARE / max(1, len(known) - 1):
            items[scene.split].append(_scene_item(scene, category, own))  # type: ignore[index]
    return _source(items, masks=True)


def _scene_item(scene: coco.SceneFile, category: str, own: bool) -> Item:
    objects = tuple(
        (tuple(a["segmentation"]["size"]), tuple(a["segmentation"]["counts"]))
        for a in scene.annotations
        if a["unsafe"] and own
    )
    unsafe = bool(scene.labels[category])
    return Item(scene.image, unsafe, scene.kind if own else "other", objects)


def _image_folder(folder: Path, unsafe: str) -> Source:
    split = all((folder / name).is_dir() for name in SPLITS)
    roots: list[tuple[SplitName | None, Path]] = (
        [(name, folder / name) for name in SPLITS] if split else [(None, folder)]
    )
    items: dict[SplitName, list[Item]] = {name: [] for name in SPLITS}
    for name, root in roots:
        classes = sorted(path for path in root.glob("*") if path.is_dir())
        if unsafe not in [path.name for path in classes] or len(classes) < 2:
            names = ", ".join(path.name for path in classes) or "none"
            raise UsageError(f"{root}: needs a folder a class, one of them {unsafe!r}; has {names}")
        for path in sorted(p for c in classes for p in c.rglob("*") if p.is_file()):
            label = path.relative_to(root).parts[0] == unsafe
            place = name or _split_of(path.relative_to(root).as_posix())
            items[place].append(Item(path, label, "unsafe" if label else "safe"))
    return _source(items, masks=False)


def _split_of(name: str) -> SplitName:
    """80/10/10, the same for a name whatever else the folder holds."""
    part = _unit(name)
    return "train" if part < 0.8 else "validation" if part < 0.9 else "test"


def _unit(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _source(items: dict[SplitName, list[Item]], *, masks: bool) -> Source:
    for split in SPLITS:
        if len({item.unsafe for item in items[split]}) < 2:
            raise UsageError(f"the {split} split lacks unsafe or safe images; add some")
    digest = hashlib.sha256()
    for split in SPLITS:
        for item in items[split]:
            digest.update(f"{split} {item.path.name} {item.unsafe}\n".encode())
    return Source({k: tuple(v) for k, v in items.items()}, masks, digest.hexdigest())


def decode(
    items: Sequence[Item],
    height: int,
    width: int,
    *,
    warn: Callable[[str], None],
    step: Callable[[], None],
) -> Arrays:
    """Decode images once, squashed; those that cannot be read are left out and named.

    The arrays lie in an unnamed temporary file that the system pages as it needs.
    """
    images = _scratch((len(items), height, width, 3))
    objects = _scratch((len(items), height, width))
    kept: list[Item] = []
    for item in items:
        step()
        try:
            pixels = load_image(item.path)[0].pixels
        except ImageError as error:
            warn(f"left out {item.path}: {error}")
            continue
        images[len(kept)] = _squash(pixels, height, width)
        for number, (size, counts) in enumerate(item.objects, 1):
            mask = coco.from_run_lengths(size, list(counts))
            objects[len(kept)][_squash(mask.astype(np.uint8) * 255, height, width) > 127] = number
        kept.append(item)
    count = len(kept)
    return Arrays(
        images[:count],
        np.array([item.unsafe for item in kept]),
        objects[:count],
        tuple(item.group for item in kept),
    )


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    with TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)  # type: ignore[call-overload, no-any-return]


def _squash(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BILINEAR))
