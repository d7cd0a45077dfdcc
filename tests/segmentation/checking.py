"""Checks of a partition that do not use the code under test, and images for the tests."""

import numpy as np
from scipy import ndimage
from skimage import data
from skimage.transform import resize

CROSS = ndimage.generate_binary_structure(2, 1)


def assert_partition(labels, shape):
    """int32 labels of that shape, 0 .. K-1 without gaps, each one 4-connected."""
    assert labels.shape == shape
    assert labels.dtype == np.int32
    names = np.unique(labels)
    assert np.array_equal(names, np.arange(len(names))), "the labels have gaps"
    for name in names:
        _, pieces = ndimage.label(labels == name, structure=CROSS)
        assert pieces == 1, f"region {name} is in {pieces} pieces"


def photograph(name, side):
    image = getattr(data, name)()
    scale = side / min(image.shape[:2])
    shape = tuple(round(length * scale) for length in image.shape[:2])
    return (resize(image, shape, anti_aliasing=True) * 255).astype(np.uint8)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
