"""Folders of images -> arrays ready to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import numpy as np
from PIL import Image as Pillow
from scipy.ndimage import label

from counterveil.errors import ImageError, UsageError
from counterveil.images import load as load_image
from counterveil.lab.scenes import coco

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
MASKS = "masks"
"""Folder in an ImageFolder that is no class: it holds masks under the images' names, as PNG."""
ANY = "any"
"""Instead of a category: unsafe in any way. A start for all of them."""
OTHERS_SHARE = 1 / 3
"""Other categories' scenes, for each scene of one's own: they are safe here, and must stay so."""


@dataclass(frozen=True)
class Thing:
    """One annotated thing.

    Attributes:
        kind: its number, from 1.
        unsafe: whether it makes its image unsafe, for the category that is learnt.
        box: x, y, width, height.
        size: of the mask.
        counts: COCO run lengths of the mask.
    """

    kind: int
    unsafe: bool
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Item:
    """One image to learn from.

    Attributes:
        path: of the image.
        unsafe: its label.
        group: what it is, for the metrics: unsafe, safe, lookalike, other.
        things: what is on it, unsafe or not; empty where unknown.
        mask: file with its unsafe pixels in white, for images that come with no more than that.
    """

    path: Path
    unsafe: bool
    group: str
    things: tuple[Thing, ...] = ()
    mask: Path | None = None


@dataclass(frozen=True)
class Source:
    """A data set, split.

    Attributes:
        items: of each split.
        masks: whether the unsafe pixels of every unsafe image are known.
        kinds: whether things are known by their names.
        digest: of the names and labels, for the model card.
    """

    items: dict[SplitName, tuple[Item, ...]]
    masks: bool
    kinds: bool
    digest: str


@dataclass(frozen=True, eq=False)
class Arrays:
    """Decoded images.

    Attributes:
        images: ``(N, h, w, 3)`` uint8, squashed to the input's size.
        unsafe: ``(N,)`` bool.
        objects: ``(N, h, w)`` uint8: 0, or the number of the unsafe object there.
        kinds: ``(N, h, w)`` uint8: 0, or the kind of the thing there, unsafe or not.
        boxes: x, y, width, height of each thing of each image, in the images' own pixels.
        box_kinds: the kind of each of those things.
        groups: a word each.
    """

    images: np.ndarray
    unsafe: np.ndarray
    objects: np.ndarray
    kinds: np.ndarray
    boxes: tuple[tuple[tuple[int, int, int, int], ...], ...]
    box_kinds: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def find(folder: Path, *, category: str | None = None, unsafe: str | None = None) -> Source:
    """What there is to learn in a folder.

    Args:
        folder: scenes, or an ImageFolder: one folder a class, either at once (split 80/10/10 by
            the hash of each name) or below ``train``, ``validation`` and ``test``. A folder
            ``masks`` beside the classes, with the same folders and names and the suffix ``.png``,
            tells the unsafe pixels of unsafe images: white there.
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
    if category != ANY and category not in known:
        raise UsageError(
            f"{folder} holds scenes; name a --category of {', '.join(known)}, or {ANY}"
        )
    items: dict[SplitName, list[Item]] = {split: [] for split in SPLITS}
    for scene in scenes:
        own = category in (ANY, scene.category)
        if own or _unit(scene.image.name) < OTHERS_SHARE / max(1, len(known) - 1):
            items[scene.split].append(_scene_item(scene, category, own))  # type: ignore[index]
    return _source(items, masks=True, kinds=True)


def _scene_item(scene: coco.SceneFile, category: str, own: bool) -> Item:
    things = tuple(
        Thing(
            a["category_id"],
            bool(a["unsafe"]) and own,
            tuple(a["bbox"]),
            tuple(a["segmentation"]["size"]),
            tuple(a["segmentation"]["counts"]),
        )
        for a in scene.annotations
    )
    unsafe = any(scene.labels.values()) if category == ANY else bool(scene.labels[category])
    return Item(scene.image, unsafe, scene.kind if own else "other", things)


def image_folder(folder: Path) -> Iterator[tuple[Path, SplitName, str, Path]]:
    """The files of an ImageFolder: path, split, class, and the folder that holds the classes.

    Raises:
        UsageError: it holds no class folders.
    """
    split = all((folder / name).is_dir() for name in SPLITS)
    roots: list[tuple[SplitName | None, Path]] = (
        [(name, folder / name) for name in SPLITS] if split else [(None, folder)]
    )
    for name, root in roots:
        classes = sorted(p for p in root.glob("*") if p.is_dir() and p.name != MASKS)
        if not classes:
            raise UsageError(f"{root}: needs a folder a class; has none")
        for path in sorted(p for c in classes for p in c.rglob("*") if p.is_file()):
            relative = path.relative_to(root)
            yield path, name or _split_of(relative.as_posix()), relative.parts[0], root


def _image_folder(folder: Path, unsafe: str) -> Source:
    items: dict[SplitName, list[Item]] = {name: [] for name in SPLITS}
    classes: dict[Path, set[str]] = {}
    for path, split, name, root in image_folder(folder):
        classes.setdefault(root, set()).add(name)
        bad = name == unsafe
        group = "unsafe" if bad else "safe"
        items[split].append(Item(path, bad, group, mask=_mask_of(path, root, bad)))
    for root, names in classes.items():
        if unsafe not in names or len(names) < 2:
            has = ", ".join(sorted(names))
            raise UsageError(f"{root}: needs a folder a class, one of them {unsafe!r}; has {has}")
    masked = all(item.mask for item in items["train"] if item.unsafe)
    return _source(items, masks=masked, kinds=False)


def _mask_of(path: Path, root: Path, unsafe: bool) -> Path | None:
    mask = (root / MASKS / path.relative_to(root)).with_suffix(".png")
    return mask if unsafe and mask.is_file() else None


def _split_of(name: str) -> SplitName:
    """80/10/10, the same for a name whatever else the folder holds."""
    part = _unit(name)
    return "train" if part < 0.8 else "validation" if part < 0.9 else "test"


def _unit(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _source(items: dict[SplitName, list[Item]], *, masks: bool, kinds: bool) -> Source:
    for split in SPLITS:
        if len({item.unsafe for item in items[split]}) < 2:
            raise UsageError(f"the {split} split lacks unsafe or safe images; add some")
    digest = hashlib.sha256()
    for split in SPLITS:
        for item in items[split]:
            digest.update(f"{split} {item.path.name} {item.unsafe}\n".encode())
    return Source({k: tuple(v) for k, v in items.items()}, masks, kinds, digest.hexdigest())


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
    objects, kinds = _scratch((len(items), height, width)), _scratch((len(items), height, width))
    kept: list[Item] = []
    boxes = []
    for item in items:
        step()
        try:
            pixels = load_image(item.path)[0].pixels
            mask = load_image(item.mask)[0].pixels[..., 0] if item.mask else None
        except ImageError as error:
            warn(f"left out {item.path}: {error}")
            continue
        at = len(kept)
        images[at] = _squash(pixels, height, width)
        _mark(item, objects[at], kinds[at])
        if mask is not None:
            parts = label(_squash(mask, height, width) > 127)[0]
            objects[at] = np.minimum(parts, 255)
        boxes.append(_boxes(item, height, width))
        kept.append(item)
    count = len(kept)
    return Arrays(
        images[:count],
        np.array([item.unsafe for item in kept]),
        objects[:count],
        kinds[:count],
        tuple(boxes),
        tuple(tuple(thing.kind for thing in item.things) for item in kept),
        tuple(item.group for item in kept),
    )


def _mark(item: Item, objects: np.ndarray, kinds: np.ndarray) -> None:
    """Write an item's things into its maps."""
    number = 0
    for thing in item.things:
        mask = coco.decode_rle(thing.size, list(thing.counts)).astype(np.uint8) * 255
        inside = _squash(mask, *objects.shape) > 127
        kinds[inside] = thing.kind
        if thing.unsafe:
            number += 1
            objects[inside] = number


def _boxes(item: Item, height: int, width: int) -> tuple[tuple[int, int, int, int], ...]:
    boxes = []
    for thing in item.things:
        (x, y, w, h), (rows, columns) = thing.box, thing.size
        boxes.append(
            (x * width // columns, y * height // rows, w * width // columns, h * height // rows)
        )
    return tuple(boxes)


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    with TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _squash(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BILINEAR))
