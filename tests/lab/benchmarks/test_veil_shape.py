"""Pieces, circularity, boxes."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.lab.benchmarks.veil_shape import circularity, fit_boxes, split_pieces
from counterveil.types import Box


def disc(side, radius):
    y, x = np.mgrid[:side, :side] - side // 2
    return y**2 + x**2 <= radius**2


def test_pixels_that_touch_at_a_corner_are_one_piece():
    mask = np.eye(5, dtype=bool)
    mask[0, 4] = True
    assert [int(piece.sum()) for piece in split_pieces(mask)] == [5, 1]
    assert split_pieces(np.zeros((4, 4), bool)) == []


def test_circularity_is_that_of_known_shapes():
    assert circularity(disc(200, 60)) == pytest.approx(1, abs=0.02)
    square = np.zeros((100, 100), bool)
    square[20:80, 20:80] = True
    assert circularity(square) == pytest.approx(0.88, abs=0.02)
    assert circularity(np.zeros((9, 9), bool)) == 0


def test_circularity_falls_with_holes_with_ragged_edges_and_with_length():
    ring = disc(200, 60) & ~disc(200, 50)
    ragged = disc(200, 60) & (np.random.default_rng(0).random((200, 200)) < 0.9)
    line = np.zeros((200, 200), bool)
    line[100:104, 10:190] = True
    for mask in (ring, ragged, line):
        assert circularity(mask) < 0.4


def test_a_piece_at_the_border_counts_the_border():
    assert circularity(np.ones((60, 60), bool)) == pytest.approx(0.88, abs=0.02)


def test_large_pieces_weigh_more():
    mask = disc(200, 60)
    mask[0, :100] = True  # a line of a hundredth of the area
    assert circularity(mask) > 0.97


def test_boxes_are_united_and_excess_is_what_lies_outside():
    mask = np.zeros((10, 10), bool)
    mask[:, :4] = True
    boxes = [Box(2, 0, 6, 5, 0.9), Box(2, 0, 6, 5, 0.8)]
    found = fit_boxes(mask, boxes)
    assert found.coverage == pytest.approx(10 / 20)
    assert found.excess == pytest.approx(30 / 20)
    assert fit_boxes(mask, []) is None
