"""Augmentations for training: veiled regions with matching targets, and new backgrounds.

A network that has never seen a veiled image may score a veil arbitrarily. And a network trained
only on the label "unsafe" learns the most discriminative part of an object: a search would veil
that part and leave the rest visible. Mask augmentation therefore veils training images. Veils
over safe parts keep the label, veils over all unsafe objects turn it into safe, and in between
the target falls with the visible share of the most visible unsafe object.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from counterveil.lab.scenes.backgrounds import photograph_crop

HIDDEN_SHARE = 0.10  # visible share of an unsafe object up to which the target is 0
VISIBLE_SHARE = 0.40  # visible share of an unsafe object from which the target is 1

_PHOTOGRAPHS = (
    *("chelsea", "coffee", "brick", "moon", "coins"),
    *("cell", "clock", "immunohistochemistry", "page", "retina", "stereo_motorcycle", "text"),
)
"""Photographs of scikit-image: those of the scenes' training split, and some of no split."""

Background = Callable[[np.random.Generator, int, int], np.ndarray]


def visibility_target(visible: float) -> float:
    """Target P(unsafe) for the visible share of an unsafe object, both in ``[0, 1]``."""
    return float(np.clip((visible - HIDDEN_SHARE) / (VISIBLE_SHARE - HIDDEN_SHARE), 0, 1))


def visible_shares(instance_map: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Visible share of each object, ``(n + 1,)``; entry 0 (no object) is 0.

    Args:
        instance_map: ``(h, w)``: number of the object at each pixel, 1 to n, or 0.
        mask: ``(h, w)`` bool, ``True`` = veiled.
    """
    areas = np.bincount(instance_map.ravel())
    visible = np.bincount(instance_map[~mask], minlength=len(areas))
    shares = visible / np.maximum(areas, 1)
    shares[0] = 0.0
    return shares


def localization_target(instance_map: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Target P(unsafe) at each pixel, ``(h, w)`` float32; its maximum is the image target.

    Veiled pixels get 0; other pixels get the target of the object they belong to.
    """
    shares = visible_shares(instance_map, mask)
    targets = np.array([visibility_target(share) for share in shares], np.float32)
    return np.where(mask, np.float32(0), targets[instance_map])


class MaskAugmentation:
    """Veils random regions of training images.

    Args:
        height: of the images.
        width: of the images.
        rng: source of all random numbers.
        rate: share of the images that are veiled.
        partitions: number of random partitions drawn in advance and reused.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        rng: np.random.Generator,
        rate: float = 0.65,
        partitions: int = 200,
    ) -> None:
        self._rng = rng
        self._rate = rate
        self._partitions = [_voronoi_partition(height, width, rng) for _ in range(partitions)]

    def __call__(
        self, image: np.ndarray, instance_map: np.ndarray, unsafe: bool, decoy: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Veil one image with probability ``rate``.

        Args:
            image: ``(h, w, 3)`` uint8.
            instance_map: ``(h, w)``: number of the unsafe object at each pixel, or 0.
            unsafe: label of the image.
            decoy: ``(h, w)`` bool, the unsafe pixels of another image. Safe images are veiled in
                that shape too, so that the outline of a veil carries no information.

        Returns:
            The image and its mask, ``(h, w)`` bool.
        """
        if self._rng.random() >= self._rate:
            return image, np.zeros(instance_map.shape, bool)
        cells = self._partitions[int(self._rng.integers(len(self._partitions)))]
        # Random flips: each stored partition gives four different ones.
        cells = cells[:: int(self._rng.choice([-1, 1])), :: int(self._rng.choice([-1, 1]))]
        if unsafe and instance_map.any():
            mask = self._mask_unsafe(cells, instance_map)
        elif unsafe:
            # The objects are not located, so only a veil too small to hide one keeps the label.
            mask = self._random_cells(cells, np.zeros(instance_map.shape, bool), max_rate=0.1)
        else:
            mask = self._mask_safe(cells, decoy)
        return np.where(mask[..., None], self._fill_colour(), image), mask

    def _mask_unsafe(self, cells: np.ndarray, instance_map: np.ndarray) -> np.ndarray:
        """A mask over safe parts only, over all unsafe objects, or over parts of them."""
        mode = self._rng.random()
        objects = instance_map > 0
        touched = np.zeros(int(cells.max()) + 1, bool)
        touched[np.unique(cells[objects])] = True
        elsewhere = self._random_cells(cells, touched[cells], max_rate=0.4)
        if mode < 0.25:
            return elsewhere
        if mode < 0.65:
            cover = touched[cells] if self._rng.random() < 0.5 else self._dilated(objects)
            return cover | elsewhere if self._rng.random() < 0.4 else cover
        chosen = self._rng.random(len(touched)) < self._rng.uniform(0.2, 0.95)
        mask: np.ndarray = (touched & chosen)[cells]
        if self._rng.random() < 0.4:
            mask &= self._dilated(objects)
        if self._rng.random() < 0.3:  # one of several objects entirely, the others partly
            mask |= instance_map == int(self._rng.integers(1, int(instance_map.max()) + 1))
        return mask

    def _mask_safe(self, cells: np.ndarray, decoy: np.ndarray | None) -> np.ndarray:
        mask = self._random_cells(cells, np.zeros(cells.shape, bool), max_rate=0.5)
        if decoy is not None and decoy.any() and self._rng.random() < 0.6:
            dilated = self._dilated(decoy)
            return dilated if self._rng.random() < 0.6 else dilated | mask
        return mask

    def _random_cells(
        self, cells: np.ndarray, excluded: np.ndarray, *, max_rate: float
    ) -> np.ndarray:
        chosen = self._rng.random(int(cells.max()) + 1) < self._rng.uniform(0, max_rate)
        mask: np.ndarray = chosen[cells] & ~excluded
        return mask

    def _dilated(self, mask: np.ndarray) -> np.ndarray:
        pixels = int(self._rng.integers(0, 6))
        return binary_dilation(mask, iterations=pixels) if pixels else mask

    def _fill_colour(self) -> np.ndarray:
        """Black mostly, as released images are veiled; sometimes grey or a colour."""
        mode = self._rng.random()
        if mode < 0.7:
            return np.zeros(3, np.uint8)
        if mode < 0.85:
            return np.full(3, self._rng.integers(0, 256), np.uint8)
        return self._rng.integers(0, 256, 3).astype(np.uint8)


def _voronoi_partition(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Voronoi cells of 15 to 500 random points, ``(h, w)`` int, at half resolution for speed."""
    count = int(np.exp(rng.uniform(np.log(15), np.log(500))))
    points = rng.random((count, 2)) * (height, width)
    grid = np.moveaxis(np.mgrid[0:height:2, 0:width:2], 0, -1).reshape(-1, 2)
    nearest: np.ndarray = cKDTree(points).query(grid)[1]
    nearest = nearest.reshape((height + 1) // 2, (width + 1) // 2)
    return nearest.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


class BackgroundAugmentation:
    """Replaces everything but the annotated objects of an image.

    The scenes have few backgrounds, and a classifier misjudges backgrounds it has never seen:
    it misses objects among stars and takes bricks for objects. The new backgrounds are noise,
    stars, strokes, or a photograph that is rotated, inverted and recoloured.

    Args:
        height: of the images.
        width: of the images.
        rng: draws all backgrounds at once.
        count: number of backgrounds; they are reused.
    """

    def __init__(
        self, height: int, width: int, *, rng: np.random.Generator, count: int = 500
    ) -> None:
        drawn = [_BACKGROUNDS[n % len(_BACKGROUNDS)](rng, height, width) for n in range(count)]
        self._backgrounds = [np.clip(each, 0, 255).astype(np.uint8) for each in drawn]

    def __call__(
        self, image: np.ndarray, objects: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The objects on a random background, ``(h, w, 3)`` uint8.

        Args:
            image: ``(h, w, 3)`` uint8.
            objects: ``(h, w)`` bool; kept with a margin of one pixel.
            rng: chooses the background.
        """
        background = self._backgrounds[int(rng.integers(len(self._backgrounds)))]
        changed: np.ndarray = np.where(binary_dilation(objects)[..., None], image, background)
        return changed


def _photograph(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A crop of a photograph, rotated, recoloured, and with another contrast."""
    name = _PHOTOGRAPHS[int(rng.integers(len(_PHOTOGRAPHS)))]
    pixels = photograph_crop(rng, height, width, name, max_fraction=float(rng.uniform(0.15, 1.0)))
    pixels = np.rot90(pixels, int(rng.integers(4))) if height == width else pixels
    pixels = pixels[..., rng.permutation(3)]
    if rng.random() < 0.4:
        pixels = 255 - pixels
    mean = pixels.mean()
    changed: np.ndarray = mean + (pixels - mean) * float(rng.uniform(0.6, 1.8))
    return changed


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise of several scales, like grass or clouds."""
    total = np.zeros((height, width, 3), np.float32)
    roughness = float(rng.uniform(0.4, 1.0))
    weight = 1.0
    for cells in (3, 6, 12, 25, 50, 100, 200):
        layer = Pillow.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        scaled = layer.resize((width, height), Pillow.Resampling.BICUBIC)
        total += weight * (np.asarray(scaled, np.float32) - 127)
        weight *= roughness
    if rng.random() < 0.6:
        total = total.mean(axis=2, keepdims=True).repeat(3, axis=2)
    total *= float(rng.uniform(25, 70)) / max(float(total.std()), 1e-3)
    pixels: np.ndarray = total + rng.uniform(30, 220, 3).astype(np.float32)
    return pixels


def _stars(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bright dots on a dark background, or the inverse."""
    count = int(rng.uniform(0.001, 0.02) * height * width)
    canvas = Pillow.new("RGB", (width, height), tuple(map(int, rng.integers(0, 50, 3))))
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        r = float(rng.exponential(0.9))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(map(int, rng.integers(60, 256, 3))))
    blurred = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.8))))
    pixels = np.asarray(blurred, np.float32)
    return 255 - pixels if rng.random() < 0.3 else pixels


def _strokes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Lines, rectangles and ellipses of any size."""
    canvas = Pillow.new("RGB", (width, height), tuple(map(int, rng.integers(0, 256, 3))))
    draw = ImageDraw.Draw(canvas)
    grey = rng.random() < 0.5
    for _ in range(int(rng.integers(10, 80))):
        shade = int(rng.integers(0, 256))
        fill = (shade,) * 3 if grey else tuple(map(int, rng.integers(0, 256, 3)))
        x, y, x2, y2 = rng.uniform(-0.2, 1.2, 4) * (width, height, width, height)
        box = (min(x, x2), min(y, y2), max(x, x2), max(y, y2))
        shape = rng.random()
        if shape < 0.5:
            draw.line((x, y, x2, y2), fill=fill, width=int(rng.integers(1, 8)))
        elif shape < 0.75:
            draw.rectangle(box, fill=fill)
        else:
            draw.ellipse(box, fill=fill)
    blurred = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2))))
    return np.asarray(blurred, np.float32) + rng.normal(0, rng.uniform(0, 12), (height, width, 1))


_BACKGROUNDS: tuple[Background, ...] = (_photograph, _noise, _stars, _strokes)
