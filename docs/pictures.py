"""Make the pictures of the README: `python docs/pictures.py`. Needs the extra `nudenet`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import counterveil
from counterveil.images import decode_clean, encode_png
from counterveil.scenes import CATEGORY_KEYS, Scene, draw_scene

HERE = Path(__file__).parent / "images"
SEED, SIDE, GAP = 41, 360, 12


def pair(before: np.ndarray, pipeline: counterveil.Counterveil) -> np.ndarray:
    """An image above what was released of it."""
    after = decode_clean(pipeline.examine(encode_png(before)).veiled)
    gap = np.full((GAP, before.shape[1], 3), 255, np.uint8)
    return np.concatenate([before, gap, after])


def beside(columns: list[np.ndarray]) -> np.ndarray:
    """Columns with white between them."""
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], axis=1)


def telling(category: str) -> Scene:
    """A scene with things both unsafe and safe, neither tiny nor filling it."""
    for index in range(500):
        scene = draw_scene(SEED, index, category=category, kind="unsafe", size=(SIDE, SIDE))
        safe = [thing for thing in scene.objects if not thing.unsafe]
        if safe and 0.04 < scene.mask().mean() < 0.15:
            return scene
    raise RuntimeError("no such scene; choose another seed")


def main() -> None:
    """Write both."""
    HERE.mkdir(exist_ok=True)
    proxy = counterveil.from_profile("proxy")
    columns = [pair(telling(key).pixels, proxy) for key in CATEGORY_KEYS]
    _save(Image.fromarray(beside(columns)), "before-after.png")
    photograph = data.astronaut()
    veiled = decode_clean(
        counterveil.from_profile("nudenet").examine(encode_png(photograph)).veiled
    )
    _save(Image.fromarray(beside([photograph, veiled])).resize((760, 380)), "photograph.png")


def _save(picture: Image.Image, name: str) -> None:
    """With few colours: these pictures are looked at, not measured."""
    few = picture.quantize(200, dither=Image.Dither.NONE)
    few.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
