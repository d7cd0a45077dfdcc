"""Backgrounds: procedural ones, and public-domain photographs that scikit-image ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from PIL import Image

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Background = Callable[[np.random.Generator, int, int], np.ndarray]

_PHOTOGRAPHS: Mapping[Split, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("chelsea", "coffee", "brick", "moon", "coins"),
        "validation": ("gravel", "rocket"),
        "test": ("grass", "camera", "hubble_deep_field"),
    }
)
"""No photograph is in two splits."""


@cache
def _photograph(name: str) -> np.ndarray:
    from skimage import data

    found = getattr(data, name)()
    pixels = np.asarray(found[0] if isinstance(found, tuple) else found)  # a stereo pair's left
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    pixels = np.ascontiguousarray(pixels[..., :3])
    pixels.setflags(write=False)
    return pixels


def background(rng: np.random.Generator, height: int, width: int, split: Split) -> np.ndarray:
    """A background ``(H, W, 3)`` float32 in ``[0, 255]``; splits share none."""
    if rng.random() < 0.3:
        names = _PHOTOGRAPHS[split]
        name = names[int(rng.integers(len(names)))]
        return crop(rng, height, width, name, part=float(rng.uniform(0.4, 1.0)))
    make = _PROCEDURAL[int(rng.integers(len(_PROCEDURAL)))]
    return make(rng, height, width)


def crop(
    rng: np.random.Generator, height: int, width: int, name: str, *, part: float
) -> np.ndarray:
    """A tinted part of a photograph, ``(H, W, 3)`` float32.

    Args:
        rng: source of everything random here.
        height: of the crop.
        width: of the crop.
        name: of a function of ``skimage.data``.
        part: of the photograph's sides that is seen, at most.
    """
    photograph = _photograph(name)
    rows, columns = photograph.shape[:2]
    tall = min(int(rows * part), int(columns * part * height / width))
    wide = max(1, tall * width // height)
    top, left = int(rng.integers(rows - tall + 1)), int(rng.integers(columns - wide + 1))
    seen = Image.fromarray(photograph[top : top + tall, left : left + wide])
    if rng.random() < 0.5:
        seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(seen.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    tint = rng.uniform(0.75, 1.2, 3).astype(np.float32)
    return pixels * tint


def _colour(rng: np.random.Generator, low: int = 40, high: int = 230) -> np.ndarray:
    return rng.uniform(low, high, 3).astype(np.float32)


def _axes(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    return y, x


def _mix(part: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = np.clip(part, 0, 1)[..., None].astype(np.float32) * (b - a)
    mixed += a
    return mixed


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = _axes(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    part = 0.5 + (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
    return _mix(part, _colour(rng), _colour(rng))


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    cells = int(rng.integers(3, 14))
    noise = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    part = np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
    return _mix(part, _colour(rng), _colour(rng))


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = _axes(height, width)
    turn, count = rng.uniform(0, np.pi), rng.uniform(4, 24)
    wave = np.sin(2 * np.pi * count * (x * np.cos(turn) + y * np.sin(turn)))
    a = _colour(rng)
    return _mix(0.5 + wave, a, a * float(rng.uniform(0.75, 1.2)))


def _tiles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    rows, columns = int(rng.integers(4, 12)), int(rng.integers(4, 12))
    y, x = _axes(height, width)
    row, column = (y * rows).astype(int), (x * columns).astype(int)
    shades = rng.uniform(0.85, 1.1, (rows + 1, columns + 1)).astype(np.float32)
    grout = ((y * rows) % 1 < 0.06) | ((x * columns) % 1 < 0.06)
    shade: np.ndarray = np.where(grout, np.float32(0.7), shades[row, column])
    tiles: np.ndarray = shade[..., None] * _colour(rng)
    return tiles


def _room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A wall, a skirting and a floor."""
    y, x = _axes(height, width)
    line = float(rng.uniform(0.5, 0.85))
    wall = _mix(y * 0.3 + 0 * x, _colour(rng, 90), _colour(rng, 90))
    floor = _mix((y - line) * 2 + 0 * x, _colour(rng, 30, 180), _colour(rng, 30, 180))
    boards = (np.sin(2 * np.pi * x * rng.uniform(5, 15)) > 0.97)[..., None] * np.float32(-25)
    room = np.where((y + 0 * x > line)[..., None], floor + boards, wall)
    skirting = np.abs(y - line) < 0.012
    room[skirting[:, 0]] = _colour(rng)
    return room


def _landscape(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Sky and two rows of hills."""
    y, x = _axes(height, width)
    scene = _mix(y + 0 * x, _colour(rng, 120), _colour(rng, 150))
    for base in (0.5, 0.7):
        waves = sum(
            rng.uniform(0.02, 0.08) * np.sin(2 * np.pi * (x * rng.uniform(0.5, 3) + rng.random()))
            for _ in range(3)
        )
        scene = np.where((y > base + waves)[..., None], _colour(rng, 40, 170), scene)
    return scene


def _checks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = _axes(height, width)
    count = int(rng.integers(4, 16))
    part = ((y * count).astype(int) + (x * count).astype(int)) % 2
    a = _colour(rng)
    return _mix(part.astype(np.float32), a, a * float(rng.uniform(0.7, 1.25)))


_PROCEDURAL: tuple[Background, ...] = (
    _gradient,
    _clouds,
    _stripes,
    _tiles,
    _room,
    _room,
    _landscape,
    _checks,
)
