"""Scenes on disk: images, masks, and annotations in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterveil.atomic import write_atomic
from counterveil.errors import UsageError
from counterveil.images import encode_mask, encode_png
from counterveil.lab.scenes.compose import Scene
from counterveil.lab.scenes.kinds import KINDS
from counterveil.types import Mask

MANIFEST = "annotations.json"


@dataclass(frozen=True)
class SceneFile:
    """One scene of a folder.

    Attributes:
        image: the picture's path.
        mask: path of the mask, 255 = unsafe object.
        split: train, validation or test.
        category: whose family of things it shows.
        kind: unsafe, safe or lookalike.
        labels: whether it is unsafe, a category.
        annotations: its COCO annotations.
        answers: question, answer, yes; as in the scene.
        bystanders: as in the scene.
        clutter: as in the scene.
    """

    image: Path
    mask: Path
    split: str
    category: str
    kind: str
    labels: Mapping[str, bool]
    annotations: tuple[Mapping[str, Any], ...]
    answers: tuple[Mapping[str, Any], ...]
    bystanders: int
    clutter: tuple[str, ...]


def write_scene(scene: Scene, folder: Path, number: int) -> tuple[dict[str, Any], list[Any]]:
    """Write a scene's picture and mask; returns its COCO image and annotations."""
    name = f"{number:06d}.png"
    (folder / "images" / name).write_bytes(encode_png(scene.pixels, compress_level=1))
    (folder / "masks" / name).write_bytes(encode_mask(scene.mask()))
    height, width = scene.pixels.shape[:2]
    image = {
        "id": number,
        "file_name": name,
        "height": height,
        "width": width,
        "split": scene.split,
        "category": scene.category,
        "kind": scene.kind,
        "labels": scene.labels,
        "seed": scene.seed,
        "index": scene.index,
        "answers": [asdict(answer) for answer in scene.answers],
        "bystanders": scene.bystanders,
        "clutter": list(scene.clutter),
    }
    return image, [_annotation(thing, number, scene) for thing in scene.objects]


def _annotation(thing: Any, number: int, scene: Scene) -> dict[str, Any]:
    return {
        "image_id": number,
        "category_id": _IDS[thing.kind],
        "bbox": list(thing.box),
        "area": int(thing.mask.sum()),
        "segmentation": {"size": list(thing.mask.shape), "counts": run_lengths(thing.mask)},
        "iscrowd": 1,  # COCO: run lengths, not polygons
        "unsafe": thing.unsafe,
        "attributes": {**thing.attributes, "visible": round(thing.visible, 4)},
    }


_IDS = {name: number for number, name in enumerate(KINDS, 1)}


def write_manifest(folder: Path, scenes: Iterable[tuple[dict[str, Any], list[Any]]]) -> None:
    """Write ``annotations.json``; last, so that its absence means unfinished."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, things in scenes:
        images.append(image)
        for thing in things:
            annotations.append({"id": len(annotations) + 1, **thing})
    manifest = {
        "info": {
            "description": "Counterveil proxy scenes: abstract pictograms, nothing harmful",
            "version": "2",
        },
        "licenses": [{"id": 1, "name": "Apache-2.0"}],
        "categories": [
            {"id": _IDS[k.name], "name": k.name, "supercategory": k.category, "unsafe": k.unsafe}
            for k in KINDS.values()
        ],
        "images": images,
        "annotations": annotations,
    }
    write_atomic(folder / MANIFEST, json.dumps(manifest).encode())


def load(folder: Path | str) -> tuple[SceneFile, ...]:
    """The scenes of a folder.

    Raises:
        UsageError: it holds no finished scenes.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} holds no finished scenes ({error}); draw some with `counterveil scenes`"
        ) from error
    by_image: dict[int, list[Mapping[str, Any]]] = {}
    for annotation in manifest["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    return tuple(
        _file(folder, image, by_image.get(image["id"], [])) for image in manifest["images"]
    )


def _file(folder: Path, image: Mapping[str, Any], things: list[Mapping[str, Any]]) -> SceneFile:
    return SceneFile(
        image=folder / "images" / image["file_name"],
        mask=folder / "masks" / image["file_name"],
        split=image["split"],
        category=image["category"],
        kind=image["kind"],
        labels=image["labels"],
        annotations=tuple(things),
        answers=tuple(image["answers"]),
        bystanders=image["bystanders"],
        clutter=tuple(image["clutter"]),
    )


def run_lengths(mask: Mask) -> list[int]:
    """COCO's uncompressed run lengths: column by column, starting with a run of zeros."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], changes, [flat.size]])
    runs = [int(run) for run in np.diff(bounds)]
    return [0, *runs] if flat[0] else runs


def from_run_lengths(size: tuple[int, int], counts: list[int]) -> Mask:
    """The mask of :func:`run_lengths`."""
    values = np.arange(len(counts)) % 2 == 1
    mask: Mask = np.repeat(values, counts).reshape(size, order="F")
    return mask
