"""Random veils of the same shape, and how far a judge's score falls."""

from __future__ import annotations

import json

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.lab.benchmarks.bootstrap import bootstrap_fall_ratio, bootstrap_ratio
from counterveil.lab.benchmarks.tables import table
from counterveil.lab.benchmarks.transfer import (
    RAISED,
    judge_scores,
    random_veil,
    summarise_transfer,
)
from counterveil.lab.benchmarks.veil_shape import split_pieces
from tests.lab.benchmarks.fakes import RedClassifier, picture


def sizes(mask):
    return [int(piece.sum()) for piece in split_pieces(mask)]


def test_a_random_veil_has_the_same_pieces_elsewhere():
    mask = np.zeros((60, 80), bool)
    mask[2:20, 3:30] = True
    mask[40:50, 60:66] = True
    found = [random_veil(mask, np.random.default_rng(seed)) for seed in range(20)]
    # Two pieces that land side by side are one.
    assert all(sum(sizes(each)) == mask.sum() for each in found)
    assert sum(sizes(each) == sizes(mask) for each in found) > 12
    assert len({each.tobytes() for each in found}) == 20
    again = random_veil(mask, np.random.default_rng(3))
    np.testing.assert_array_equal(again, found[3])
    seen = np.mean(found, axis=0)
    assert (seen > 0).mean() > 0.8, "places all over the image"


def test_pieces_that_fit_nowhere_else_are_shifted_as_a_whole():
    mask = np.ones((30, 30), bool)
    mask[::3] = False  # stripes of full width fill two thirds
    found = random_veil(mask, np.random.default_rng(0))
    assert found.sum() == mask.sum()
    assert random_veil(np.ones((5, 5), bool), np.random.default_rng(0)).all()


def test_a_veil_over_the_thing_beats_random_veils():
    mask = np.zeros((48, 48), bool)
    mask[2:30, 10:38] = True  # the red block is in it
    found = judge_scores(RedClassifier(), picture(), mask, fill("black"), np.random.default_rng(0))
    assert (found["before"], found["after"]) == (1, 0)
    assert 0.1 < found["random"] < 0.9
    summary = summarise_transfer([found] * 3)
    assert summary["images"] == 3
    assert summary["fall"]["mean"] == 1
    assert summary["fall_ratio"]["mean"] == pytest.approx(1 / (1 - found["random"]), rel=1e-3)


def test_a_judge_without_suspicion_is_not_asked_again():
    judge = RedClassifier()
    image = picture(red=False)
    mask = np.zeros(image.shape[:2], bool)
    mask[:9, :9] = True
    found = judge_scores(judge, image, mask, fill("black"), np.random.default_rng(0))
    assert found == {"before": 0.0, "after": None, "random": None}
    assert judge.images == 1
    raised = {"before": RAISED, "after": 0.1, "random": 0.15}
    summary = summarise_transfer([found, raised])
    assert summary["images"] == 1
    assert summary["fall_ratio"]["mean"] == pytest.approx(2)
    assert summarise_transfer([found])["fall"]["mean"] is None


def test_a_random_fall_near_zero_leaves_the_interval_open():
    falls, others = [0.5] * 20, [0.2, -0.1] * 10
    found = bootstrap_fall_ratio(falls, others)
    assert found.mean == pytest.approx(0.5 / 0.05)
    assert found.low > 3 and np.isinf(found.high)
    data = found.to_dict()
    assert data["high"] is None and data["n"] == 20
    json.dumps(data, allow_nan=False)
    assert "| judge | 10.00 [" in table("", {"judge": {"fall_ratio": data}})
    assert ", ∞] |" in table("", {"judge": {"fall_ratio": data}})
    assert bootstrap_fall_ratio([-0.1], [-0.2]).mean == 0


def test_where_random_falls_are_clear_both_ratios_agree():
    falls, others = [0.5, 0.4, 0.6, 0.5], [0.2, 0.1, 0.3, 0.2]
    assert bootstrap_fall_ratio(falls, others).mean == bootstrap_ratio(falls, others).mean
