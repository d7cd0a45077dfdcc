import numpy as np
import pytest
from scipy import ndimage

from counterveil.segmentation.bass.topology import NEIGHBOURS, SIMPLE, is_simple
from tests.segmentation.checking import CROSS


def patch(pattern, centre):
    square = np.full((3, 3), centre, dtype=bool)
    for bit, (row, column) in enumerate(NEIGHBOURS):
        square[row + 1, column + 1] = bool(pattern >> bit & 1)
    return square


def pieces(square):
    return ndimage.label(square, structure=CROSS)[1]


def test_48_patterns_are_simple():
    assert SIMPLE.sum() == 48


@pytest.mark.parametrize("pattern", range(256))
def test_the_table_holds_the_definition(pattern):
    same, other = patch(pattern, False), ~patch(pattern, True)
    nearest = [(0, 1), (1, 0), (1, 2), (2, 1)]
    expected = (
        pieces(same) == 1
        and pieces(other) == 1
        and any(same[at] for at in nearest)
        and any(other[at] for at in nearest)
    )
    assert SIMPLE[pattern] == expected
    assert is_simple(np.array([pattern >> bit & 1 for bit in range(8)], dtype=bool)) == expected


@pytest.mark.parametrize("pattern", np.flatnonzero(SIMPLE))
def test_a_simple_pixel_changes_hands_without_changing_how_many_pieces_there_are(pattern):
    with_it, without = patch(pattern, True), patch(pattern, False)
    assert pieces(with_it) == pieces(without) == 1
    assert pieces(~with_it) == pieces(~without) == 1


def test_the_table_is_symmetric_under_rotation_reflection_and_exchange():
    def image_of(pattern, change):
        square = change(patch(pattern, False))
        return sum(
            int(square[row + 1, column + 1]) << bit for bit, (row, column) in enumerate(NEIGHBOURS)
        )

    for change in (np.rot90, np.fliplr, np.logical_not):
        assert all(SIMPLE[p] == SIMPLE[image_of(p, change)] for p in range(256))
