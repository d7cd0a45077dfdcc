"""Make the pictures of the README: `python docs/pictures.py`. Needs the extra `nudenet`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import counterveil
from counterveil.images import decode_clean, encode_png, load
from counterveil.lab.benchmarks.overlap import overlap
from counterveil.lab.scenes import CATEGORY_KEYS, Scene, draw_scene
from counterveil.profiles import Overrides

HERE = Path(__file__).parent / "images"
SEED, SIDE, GAP, OF = 41, 360, 12, 9


def typical(category: str, pipeline: counterveil.Pipeline) -> np.ndarray:
    """The scene of some whose veil fits the unsafe pixels (IoU) as well as the median one."""
    scenes = list(islice(telling(category), OF))
    examined = [pipeline.examine(encode_png(scene.pixels)) for scene in scenes]
    fits = [
        overlap(load(one.mask)[0].pixels[..., 0] > 127, scene.mask()).iou
        for one, scene in zip(examined, scenes, strict=True)
    ]
    at = int(np.argsort(fits)[OF // 2])
    before, after = scenes[at].pixels, decode_clean(examined[at].veiled)
    gap = np.full((GAP, before.shape[1], 3), 255, np.uint8)
    return np.concatenate([before, gap, after])


def beside(columns: list[np.ndarray]) -> np.ndarray:
    """Columns with white between them."""
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], axis=1)


def telling(category: str) -> Iterator[Scene]:
    """Scenes with things both unsafe and safe, neither tiny nor filling it."""
    for index in count():
        scene = draw_scene(SEED, index, category=category, kind="unsafe", size=(SIDE, SIDE))
        safe = [thing for thing in scene.objects if not thing.unsafe]
        if safe and 0.04 < scene.mask().mean() < 0.15:
            yield scene


def main() -> None:
    """Write both."""
    HERE.mkdir(exist_ok=True)
    proxy = counterveil.from_profile("proxy", overrides=Overrides(reasoner=""))
    columns = [typical(key, proxy) for key in CATEGORY_KEYS]
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
