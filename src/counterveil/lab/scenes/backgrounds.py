"""Backgrounds: procedural textures, and public-domain photographs that scikit-image ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from PIL import Image

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

PHOTOGRAPHS: Mapping[Split, tuple[str, ...]] = MappingProxyType({
    "train": ("chelsea", "coffee", "brick", "moon", "coins"),
    "validation": ("gravel", "rocket"),
    "test": ("grass", "camera", "hubble_deep_field"),
})  # fmt: skip
"""Functions of ``skimage.data``; no photograph is in two splits."""


def random_background(
    rng: np.random.Generator, height: int, width: int, split: Split
) -> np.ndarray:
    """A background ``(H, W, 3)`` float32 in ``[0, 255]``.

    Three in ten are crops of the split's photographs; the others are procedural textures, which
    serve all splits.
    """
    if rng.random() < 0.3:
        names = PHOTOGRAPHS[split]
        name = names[int(rng.integers(len(names)))]
        return photograph_crop(rng, height, width, name, max_fraction=float(rng.uniform(0.4, 1.0)))
    texture = _TEXTURES[int(rng.integers(len(_TEXTURES)))]
    return texture(rng, height, width)


def photograph_crop(
    rng: np.random.Generator, height: int, width: int, name: str, *, max_fraction: float
) -> np.ndarray:
    """A random crop of a photograph, resized and tinted, ``(H, W, 3)`` float32.

    Args:
        rng: source of randomness.
        height: rows of the result.
        width: columns of the result.
        name: name of a function of ``skimage.data``.
        max_fraction: largest share of each side of the photograph that the crop covers.
    """
    photograph = _photograph(name)
    rows, columns = photograph.shape[:2]
    crop_rows = min(int(rows * max_fraction), int(columns * max_fraction * height / width))
    crop_columns = max(1, crop_rows * width // height)
    top = int(rng.integers(rows - crop_rows + 1))
    left = int(rng.integers(columns - crop_columns + 1))
    crop = Image.fromarray(photograph[top : top + crop_rows, left : left + crop_columns])
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(crop.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    tint = rng.uniform(0.75, 1.2, 3).astype(np.float32)
    return pixels * tint


@cache
def _photograph(name: str) -> np.ndarray:
    from skimage import data

    loaded = getattr(data, name)()
    # A stereo pair comes as a tuple, left image first.
    pixels = np.asarray(loaded[0] if isinstance(loaded, tuple) else loaded)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    pixels = np.ascontiguousarray(pixels[..., :3])
    pixels.setflags(write=False)
    return pixels


def _colour(rng: np.random.Generator, low: int = 40, high: int = 230) -> np.ndarray:
    return rng.uniform(low, high, 3).astype(np.float32)


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    return y, x


def _blend(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    blended: np.ndarray = np.clip(weight, 0, 1)[..., None].astype(np.float32) * (b - a)
    blended += a
    return blended


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    theta = rng.uniform(0, 2 * np.pi)
    weight = 0.5 + (x - 0.5) * np.cos(theta) + (y - 0.5) * np.sin(theta)
    return _blend(weight, _colour(rng), _colour(rng))


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    cells = int(rng.integers(3, 14))
    noise = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    weight = np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
    return _blend(weight, _colour(rng), _colour(rng))


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    theta, count = rng.uniform(0, np.pi), rng.uniform(4, 24)
    wave = np.sin(2 * np.pi * count * (x * np.cos(theta) + y * np.sin(theta)))
    a = _colour(rng)
    return _blend(0.5 + wave, a, a * float(rng.uniform(0.75, 1.2)))


def _tiles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    rows, columns = int(rng.integers(4, 12)), int(rng.integers(4, 12))
    y, x = _grid(height, width)
    row, column = (y * rows).astype(int), (x * columns).astype(int)
    shades = rng.uniform(0.85, 1.1, (rows + 1, columns + 1)).astype(np.float32)
    grout = ((y * rows) % 1 < 0.06) | ((x * columns) % 1 < 0.06)
    shade: np.ndarray = np.where(grout, np.float32(0.7), shades[row, column])
    tiles: np.ndarray = shade[..., None] * _colour(rng)
    return tiles


def _room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A wall, a skirting and a floor."""
    y, x = _grid(height, width)
    line = float(rng.uniform(0.5, 0.85))
    wall = _blend(y * 0.3 + 0 * x, _colour(rng, 90), _colour(rng, 90))
    floor = _blend((y - line) * 2 + 0 * x, _colour(rng, 30, 180), _colour(rng, 30, 180))
    boards = (np.sin(2 * np.pi * x * rng.uniform(5, 15)) > 0.97)[..., None] * np.float32(-25)
    room = np.where((y + 0 * x > line)[..., None], floor + boards, wall)
    skirting = np.abs(y - line) < 0.012
    room[skirting[:, 0]] = _colour(rng)
    return room


def _landscape(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Sky and two rows of hills."""
    y, x = _grid(height, width)
    scene = _blend(y + 0 * x, _colour(rng, 120), _colour(rng, 150))
    for base in (0.5, 0.7):
        waves = sum(
            rng.uniform(0.02, 0.08) * np.sin(2 * np.pi * (x * rng.uniform(0.5, 3) + rng.random()))
            for _ in range(3)
        )
        scene = np.where((y > base + waves)[..., None], _colour(rng, 40, 170), scene)
    return scene


def _checks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    count = int(rng.integers(4, 16))
    weight = ((y * count).astype(int) + (x * count).astype(int)) % 2
    a = _colour(rng)
    return _blend(weight.astype(np.float32), a, a * float(rng.uniform(0.7, 1.25)))


_TEXTURES: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...] = (
    _gradient, _clouds, _stripes, _tiles, _room, _room, _landscape, _checks,
)  # fmt: skip
"""A texture that is named twice is drawn twice as often."""
