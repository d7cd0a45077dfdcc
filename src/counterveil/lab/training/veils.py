"""Veils to train under, so that a black patch is nothing strange and the score is a meter.

A network that has never seen a veil may take it for anything. And one that is only told
"unsafe" learns to recognise an object by its most telling part, so that a search stops when
that part is hidden and leaves the rest in sight. So: veils over safe parts keep the label,
veils over every unsafe object turn it, and in between the target falls with what is left
visible of the most visible object.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

HIDDEN = 0.10
"""Visible share of the most visible object up to which an image is safe."""
SHOWN = 0.40
"""Visible share from which it is as unsafe as ever."""


def target(visible: float) -> float:
    """P(unsafe) to learn, from the visible share of an unsafe object."""
    return float(np.clip((visible - HIDDEN) / (SHOWN - HIDDEN), 0, 1))


def visible_shares(objects: np.ndarray, veil: np.ndarray) -> np.ndarray:
    """Share of each object that a veil leaves visible, ``(n + 1,)``; 0 for no object, number 0.

    Args:
        objects: ``(h, w)``, 0 or the number of the object, up to n.
        veil: ``(h, w)`` bool, ``True`` = veiled.
    """
    whole = np.bincount(objects.ravel())
    left = np.bincount(objects[~veil], minlength=len(whole))
    shares = left / np.maximum(whole, 1)
    shares[0] = 0.0
    return shares


def lesson(objects: np.ndarray, veil: np.ndarray) -> np.ndarray:
    """P(unsafe) to learn at each pixel, ``(h, w)`` float32; its maximum is the image's.

    A pixel is as unsafe as the object that it shows is visible; veiled pixels show nothing.
    """
    targets = np.array([target(share) for share in visible_shares(objects, veil)], np.float32)
    return np.where(veil, np.float32(0), targets[objects])


class Veiler:
    """Draws veils for training images.

    Args:
        height: of the images.
        width: of the images.
        rng: source of everything random here.
        share: of the images that get a veil at all.
        partitions: how many random partitions are kept at hand.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        rng: np.random.Generator,
        share: float = 0.65,
        partitions: int = 200,
    ) -> None:
        self._rng = rng
        self._share = share
        self._partitions = [_partition(height, width, rng) for _ in range(partitions)]

    def __call__(
        self, image: np.ndarray, objects: np.ndarray, unsafe: bool, shape: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Veil one image, perhaps.

        Args:
            image: ``(h, w, 3)`` uint8.
            objects: ``(h, w)``: 0, or the number of the unsafe object there.
            unsafe: its label.
            shape: another image's unsafe pixels, so that a veil's outline tells nothing.

        Returns:
            The image and its veil, ``(h, w)`` bool.
        """
        if self._rng.random() >= self._share:
            return image, np.zeros(objects.shape, bool)
        cells = self._partitions[int(self._rng.integers(len(self._partitions)))]
        cells = cells[:: int(self._rng.choice([-1, 1])), :: int(self._rng.choice([-1, 1]))]
        if unsafe and objects.any():
            veil = self._over_unsafe(cells, objects)
        elif unsafe:
            # Where the objects are is not known, so only a veil too small to hide one is safe.
            veil = self._some(cells, np.zeros(objects.shape, bool), most=0.1)
        else:
            veil = self._over_safe(cells, shape)
        return np.where(veil[..., None], self._fill(), image), veil

    def _over_unsafe(self, cells: np.ndarray, objects: np.ndarray) -> np.ndarray:
        mode = self._rng.random()
        inside = objects > 0
        touched = np.zeros(int(cells.max()) + 1, bool)
        touched[np.unique(cells[inside])] = True
        elsewhere = self._some(cells, touched[cells], most=0.4)
        if mode < 0.25:
            return elsewhere
        if mode < 0.65:
            around = touched[cells] if self._rng.random() < 0.5 else self._grown(inside)
            return around | elsewhere if self._rng.random() < 0.4 else around
        some = self._rng.random(len(touched)) < self._rng.uniform(0.2, 0.95)
        veil: np.ndarray = (touched & some)[cells]
        if self._rng.random() < 0.4:
            veil &= self._grown(inside)
        if self._rng.random() < 0.3:  # one of several objects whole, the others not
            veil |= objects == int(self._rng.integers(1, int(objects.max()) + 1))
        return veil

    def _over_safe(self, cells: np.ndarray, shape: np.ndarray | None) -> np.ndarray:
        veil = self._some(cells, np.zeros(cells.shape, bool), most=0.5)
        if shape is not None and shape.any() and self._rng.random() < 0.6:
            grown = self._grown(shape)
            return grown if self._rng.random() < 0.6 else grown | veil
        return veil

    def _some(self, cells: np.ndarray, forbidden: np.ndarray, *, most: float) -> np.ndarray:
        chosen = self._rng.random(int(cells.max()) + 1) < self._rng.uniform(0, most)
        veil: np.ndarray = chosen[cells] & ~forbidden
        return veil

    def _grown(self, mask: np.ndarray) -> np.ndarray:
        steps = int(self._rng.integers(0, 6))
        return binary_dilation(mask, iterations=steps) if steps else mask

    def _fill(self) -> np.ndarray:
        mode = self._rng.random()
        if mode < 0.7:
            return np.zeros(3, np.uint8)
        if mode < 0.85:
            return np.full(3, self._rng.integers(0, 256), np.uint8)
        return self._rng.integers(0, 256, 3).astype(np.uint8)


def _partition(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Random cells ``(h, w)``: the pixels nearest to each of some points."""
    count = int(np.exp(rng.uniform(np.log(15), np.log(500))))
    points = rng.random((count, 2)) * (height, width)
    grid = np.moveaxis(np.mgrid[0:height:2, 0:width:2], 0, -1).reshape(-1, 2)
    nearest: np.ndarray = cKDTree(points).query(grid)[1]
    nearest = nearest.reshape((height + 1) // 2, (width + 1) // 2)
    return nearest.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
