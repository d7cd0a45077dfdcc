"""Folders of scenes: images, masks, and annotations in the COCO format.

References:
    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format is described at
    https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterveil.atomic import write_atomic
from counterveil.errors import UsageError
from counterveil.images import encode_mask, encode_png
from counterveil.lab.scenes.object_kinds import OBJECT_KINDS
from counterveil.lab.scenes.scene import Scene
from counterveil.lab.scenes.scene_canvas import SceneObject
from counterveil.types import Mask

MANIFEST = "annotations.json"
CocoScene = tuple[dict[str, Any], list[dict[str, Any]]]
"""A COCO image and its annotations."""
_DESCRIPTION = "Counterveil drawn scenes: abstract pictograms, nothing harmful"
_CATEGORY_IDS = {name: number for number, name in enumerate(OBJECT_KINDS, 1)}


@dataclass(frozen=True)
class SceneFile:
    """One scene of a folder.

    The attributes without an explanation are those of :class:`Scene`.

    Attributes:
        image: path of the image.
        mask: path of the mask; 255 = pixel of an unsafe object.
        annotations: its COCO annotations.
        answers: its reference answers, as dictionaries.
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
    distractors: tuple[str, ...]


def write_scene(scene: Scene, folder: Path, number: int) -> CocoScene:
    """Write image and mask into the subfolders ``images`` and ``masks`` of ``folder``.

    Returns:
        The COCO image, whose id is ``number``, and its annotations, which still lack ids.
    """
    name = f"{number:06d}.png"
    (folder / "images" / name).write_bytes(encode_png(scene.pixels, compress_level=1))
    (folder / "masks" / name).write_bytes(encode_mask(scene.mask()))
    height, width = scene.pixels.shape[:2]
    image = {
        "id": number, "file_name": name, "height": height, "width": width, "split": scene.split,
        "category": scene.category, "kind": scene.kind, "labels": scene.labels,
        "seed": scene.seed, "index": scene.index,
        "answers": [asdict(answer) for answer in scene.answers],
        "bystanders": scene.bystanders, "clutter": list(scene.distractors),
    }  # fmt: skip
    return image, [_annotation(item, number) for item in scene.objects]


def _annotation(item: SceneObject, number: int) -> dict[str, Any]:
    return {
        "image_id": number, "category_id": _CATEGORY_IDS[item.kind],
        "bbox": list(item.box), "area": int(item.mask.sum()),
        "segmentation": {"size": list(item.mask.shape), "counts": encode_rle(item.mask)},
        "iscrowd": 1,  # in COCO this says that the segmentation is run lengths, not polygons
        "unsafe": item.unsafe, "attributes": {**item.attributes, "visible": round(item.visible, 4)},
    }  # fmt: skip


def write_manifest(folder: Path, scenes: Iterable[CocoScene]) -> None:
    """Write ``annotations.json`` from the results of :func:`write_scene`.

    It is written last: a folder without it is unfinished.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, own in scenes:
        images.append(image)
        for annotation in own:
            annotations.append({"id": len(annotations) + 1, **annotation})
    manifest = {
        "info": {"description": _DESCRIPTION, "version": "2"},
        "licenses": [{"id": 1, "name": "Apache-2.0"}],
        "categories": [
            {"id": number, "name": k.name, "supercategory": k.category, "unsafe": k.unsafe}
            for number, k in enumerate(OBJECT_KINDS.values(), 1)
        ],
        "images": images,
        "annotations": annotations,
    }
    write_atomic(folder / MANIFEST, json.dumps(manifest).encode())


def load(folder: Path | str) -> tuple[SceneFile, ...]:
    """Read the annotations of a folder.

    Raises:
        UsageError: the folder holds no finished scenes.
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
        SceneFile(
            image=folder / "images" / image["file_name"],
            mask=folder / "masks" / image["file_name"],
            annotations=tuple(by_image.get(image["id"], ())),
            answers=tuple(image["answers"]),
            distractors=tuple(image["clutter"]),
            **{name: image[name] for name in ("split", "category", "kind", "labels", "bystanders")},
        )
        for image in manifest["images"]
    )


def encode_rle(mask: Mask) -> list[int]:
    """COCO's uncompressed run lengths: column by column, starting with a run of zeros."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], changes, [flat.size]])
    runs = [int(run) for run in np.diff(bounds)]
    return [0, *runs] if flat[0] else runs


def decode_rle(size: tuple[int, int], counts: Sequence[int]) -> Mask:
    """The mask ``(H, W)`` of COCO's uncompressed run lengths; ``size`` is height, width."""
    values = np.arange(len(counts)) % 2 == 1
    mask: Mask = np.repeat(values, counts).reshape(size, order="F")
    return mask
