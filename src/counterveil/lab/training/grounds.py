"""Put the things of training images on grounds that nobody drew for them.

The scenes have few grounds, and a photograph that was never seen startles a classifier: marks are
missed among stars, bricks are taken for marks. Where masks of the things are known, everything
else can be replaced by noise, stars, strokes, or a photograph turned, inverted and recoloured.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter
from scipy.ndimage import binary_dilation

from counterveil.lab.scenes.backgrounds import photograph_crop

_PHOTOGRAPHS = (
    *("chelsea", "coffee", "brick", "moon", "coins"),
    *("cell", "clock", "immunohistochemistry", "page", "retina", "stereo_motorcycle", "text"),
)
"""Those of the training split, and others that scikit-image ships; none of another split's."""

Texture = Callable[[np.random.Generator, int, int], np.ndarray]


class Grounds:
    """Grounds to put things on.

    Args:
        height: of the images.
        width: of the images.
        rng: what they are made from, at once.
        count: how many are made; each is used again and again.
    """

    def __init__(
        self, height: int, width: int, *, rng: np.random.Generator, count: int = 500
    ) -> None:
        made = [_TEXTURES[n % len(_TEXTURES)](rng, height, width) for n in range(count)]
        self._grounds = [np.clip(ground, 0, 255).astype(np.uint8) for ground in made]

    def __call__(
        self, image: np.ndarray, things: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """An image with another ground around its things.

        Args:
            image: ``(h, w, 3)`` uint8.
            things: ``(h, w)`` bool, kept with a rim of a pixel.
            rng: chooses the ground.
        """
        ground = self._grounds[int(rng.integers(len(self._grounds)))]
        changed: np.ndarray = np.where(binary_dilation(things)[..., None], image, ground)
        return changed


def _photograph(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A part of a photograph, of any scale, as nobody has seen it."""
    name = _PHOTOGRAPHS[int(rng.integers(len(_PHOTOGRAPHS)))]
    ground = photograph_crop(rng, height, width, name, max_fraction=float(rng.uniform(0.15, 1.0)))
    ground = np.rot90(ground, int(rng.integers(4))) if height == width else ground
    ground = ground[..., rng.permutation(3)]
    if rng.random() < 0.4:
        ground = 255 - ground
    middle = ground.mean()
    changed: np.ndarray = middle + (ground - middle) * float(rng.uniform(0.6, 1.8))
    return changed


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise of several scales, as in grass or clouds."""
    total = np.zeros((height, width, 3), np.float32)
    roughness = float(rng.uniform(0.4, 1.0))
    weight = 1.0
    for cells in (3, 6, 12, 25, 50, 100, 200):
        layer = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
        size = (width, height)
        fine = Pillow.fromarray(layer).resize(size, Pillow.Resampling.BICUBIC)
        total += weight * (np.asarray(fine, np.float32) - 127)
        weight *= roughness
    if rng.random() < 0.6:
        total = total.mean(axis=2, keepdims=True).repeat(3, axis=2)
    total *= float(rng.uniform(25, 70)) / max(float(total.std()), 1e-3)
    ground: np.ndarray = total + rng.uniform(30, 220, 3).astype(np.float32)
    return ground


def _stars(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bright dots on dark, or dark ones on bright."""
    count = int(rng.uniform(0.001, 0.02) * height * width)
    canvas = Pillow.new("RGB", (width, height), tuple(map(int, rng.integers(0, 50, 3))))
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        r = float(rng.exponential(0.9))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(map(int, rng.integers(60, 256, 3))))
    soft = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.8))))
    ground = np.asarray(soft, np.float32)
    return 255 - ground if rng.random() < 0.3 else ground


def _strokes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Lines, boxes and blobs of any size, as the world is full of."""
    canvas = Pillow.new("RGB", (width, height), tuple(map(int, rng.integers(0, 256, 3))))
    draw = ImageDraw.Draw(canvas)
    grey = rng.random() < 0.5
    for _ in range(int(rng.integers(10, 80))):
        shade = int(rng.integers(0, 256))
        fill = (shade,) * 3 if grey else tuple(map(int, rng.integers(0, 256, 3)))
        x, y, x2, y2 = rng.uniform(-0.2, 1.2, 4) * (width, height, width, height)
        box = (min(x, x2), min(y, y2), max(x, x2), max(y, y2))
        kind = rng.random()
        if kind < 0.5:
            draw.line((x, y, x2, y2), fill=fill, width=int(rng.integers(1, 8)))
        elif kind < 0.75:
            draw.rectangle(box, fill=fill)
        else:
            draw.ellipse(box, fill=fill)
    soft = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2))))
    return np.asarray(soft, np.float32) + rng.normal(0, rng.uniform(0, 12), (height, width, 1))


_TEXTURES: tuple[Texture, ...] = (_photograph, _noise, _stars, _strokes)
