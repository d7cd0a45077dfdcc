from __future__ import annotations

import numpy as np

from counterveil.search.combine import Demand, combine
from counterveil.veil import fill
from tests.search.scores import grid, needs_all, needs_any, picture


def united(labels, masks, demands):
    return combine(picture(labels), masks, demands, labels, fill=fill("black"), forwards=200)


def test_both_demands_stay_met():
    labels = grid(3, 3)
    demands = [Demand(needs_all(labels, [0]), 0.5), Demand(needs_all(labels, [8]), 0.5)]
    result = united(labels, [labels == 0, labels == 8], demands)
    assert (result.mask == np.isin(labels, [0, 8])).all()
    assert result.irreducible


def test_what_another_veil_makes_needless_is_given_back():
    labels = grid(3, 3)
    demands = [
        Demand(needs_any(labels, [[0], [8]]), 0.5),
        Demand(needs_all(labels, [8]), 0.5),
    ]
    result = united(labels, [labels == 0, labels == 8], demands)
    assert (result.mask == (labels == 8)).all()


def test_a_union_that_provokes_a_category_is_returned_whole_and_not_called_irreducible():
    labels = grid(3, 3)
    demands = [Demand(lambda images: np.full(len(images), 0.9), 0.5)]
    result = united(labels, [labels == 0], demands)
    assert (result.mask == (labels == 0)).all()
    assert not result.irreducible
