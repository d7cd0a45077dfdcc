"""Overlaps, intervals and pages of figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from counterveil.lab.benchmarks.cse import beside
from counterveil.lab.benchmarks.interval import estimate, ratio
from counterveil.lab.benchmarks.overlap import overlap
from counterveil.lab.benchmarks.results import to_json, to_markdown
from counterveil.lab.benchmarks.traced import trace
from counterveil.types import ModelInfo


def masks(veil, truth):
    grid = np.arange(100).reshape(10, 10)
    return overlap(np.isin(grid, veil), np.isin(grid, truth))


def test_an_overlap_is_counted():
    found = masks(range(20), range(10, 40))
    assert found.coverage == pytest.approx(10 / 30)
    assert found.precision == pytest.approx(10 / 20)
    assert found.iou == pytest.approx(10 / 40)
    assert found.area_ratio == pytest.approx(20 / 30)
    assert found.area == pytest.approx(0.2)


def test_no_veil_covers_nothing():
    assert masks([], range(5)).coverage == masks([], range(5)).precision == 0


def test_a_mean_has_an_interval_that_narrows():
    rng = np.random.default_rng(0)
    few, many = estimate(rng.random(20)), estimate(rng.random(2000))
    for found in (few, many):
        assert found.low < found.mean < found.high
    assert many.high - many.low < few.high - few.low
    # The normal approximation, for many.
    assert many.high - many.low == pytest.approx(2 * 1.96 * np.sqrt(1 / 12 / 2000), rel=0.15)


def test_an_interval_is_the_same_each_time():
    assert estimate([0.0, 1.0, 1.0]) == estimate([0.0, 1.0, 1.0])


def test_nothing_measured_is_no_number():
    nothing = estimate([])
    assert np.isnan(nothing.mean)
    assert nothing.to_dict() == {"mean": None, "low": None, "high": None, "n": 0}


def test_figures_are_written_as_they_are():
    row = {"images": 2, "found": estimate([1.0, 1.0]).to_dict(), "gap": estimate([]).to_dict()}
    row["depth"] = estimate([2.0, 3.0]).to_dict()
    figures = {
        "classifiers": {"k": {"accuracy": estimate([1.0, 0.0]).to_dict()}},
        "counterfactuals": {
            "partitions": {"one": {"k": row, "l": row}, "two": {"k": row, "l": row}}
        },
        "released": {"k": row},
        "edges": {"k": {"top": row, "left": {**row, "gap": estimate([0.5]).to_dict()}}},
    }
    assert json.loads(to_json(figures)) == figures
    page = to_markdown(figures)
    assert "| k | 50.0 % [" in page
    assert "| top | 2 | 100.0 % [100.0 %, 100.0 %] | – | 2.50 [2.00, 3.00] |" in page
    assert "| k | 2 | 100.0 % [100.0 %, 100.0 %] | 2.50 [2.00, 3.00] |" in page  # unknown to all
    order = [page.index(f"| {name} |") for name in ("k: one", "k: two", "l: one", "l: two")]
    assert order == sorted(order)  # as in the paper: a category, and all methods on it
    assert "`counterveil bench cse --quick --out" in to_markdown(
        figures, command="counterveil bench cse --quick"
    )


def test_a_page_of_a_folder_tells_whose_images_and_says_nothing_of_the_scenes():
    row = {"images": 1, "found": estimate([1.0]).to_dict()}
    figures = {
        "counterfactuals": {"searches": {"one": {"unsafe": row}}},
        "images": {"read": 9, "flagged": 3, "opened": False},
        "measured": {"data": "holiday", "classifier": "nudenet:BELLY"},
    }
    page = to_markdown(figures)
    assert "`holiday`: the first 3 images that `nudenet:BELLY` flags, of 9 read" in page
    assert "occlusion ranked" in page
    assert not any(word in page for word in ("scenes", "Released", "The paper found"))


def test_a_ratio_of_means_does_not_weigh_the_small_more():
    found = ratio([2.0, 0.4], [1.0, 0.1])
    assert found.mean == pytest.approx(2.4 / 1.1)
    assert found.low <= found.mean <= found.high
    assert ratio([], []).to_dict()["mean"] is None


def test_a_search_is_set_beside_another_where_both_found():
    def case(found, obfuscation, coverage, evaluations):
        figures = {"found": found, "obfuscation": obfuscation, "coverage": coverage}
        return figures | {"evaluations": evaluations}

    ours = [case(1.0, 0.1, 0.5, 10.0), case(1.0, 0.2, 0.7, 10.0), case(1.0, 0.9, 0.9, 10.0)]
    rival = [case(1.0, 0.4, 0.4, 40.0), case(1.0, 0.2, 1.0, 40.0), case(0.0, 0.1, 0.0, 70.0)]
    row = beside(ours, rival)
    assert row["found_more"]["mean"] == pytest.approx(1 / 3, abs=1e-5)
    assert row["area"]["mean"] == pytest.approx(0.3 / 0.6)
    assert row["coverage_more"]["mean"] == pytest.approx(-0.1)
    assert row["forwards_ratio"]["mean"] == pytest.approx(30 / 150)
    assert "soon" not in row
    assert "coverage_more" not in beside(
        *[[{k: v for k, v in ours[0].items() if k != "coverage"}]] * 2
    )


def test_forwards_count_until_as_little_is_veiled_as_by_the_rival():
    def case(reached, obfuscation, evaluations, found=1.0):
        figures = {"found": found, "obfuscation": obfuscation, "reached": reached}
        return figures | {"evaluations": evaluations}

    ours = [
        case([[5, 0.4], [9, 0.2], [30, 0.1]], 0.1, 100.0),
        case([[5, 0.3]], 0.3, 50.0),
        case([], 0.0, 512.0, found=0.0),
    ]
    rival = [case([], 0.2, 20.0), case([], 0.25, 10.0), case([], 0.1, 7.0)]
    # As little after nine; never, so all fifty; and nothing told where ours found none.
    assert beside(ours, rival)["soon"]["mean"] == pytest.approx((9 + 50) / (20 + 10), abs=1e-5)


class Bright:
    """P(unsafe) is the share of white."""

    info = ModelInfo("bright")
    module = "inner"
    to_input = target = staticmethod(lambda given: given)

    def score(self, images):
        return (images > 0).mean(axis=(1, 2, 3))


def test_a_trace_keeps_each_smaller_flip_and_when_its_batch_was_done():
    image = np.full((4, 5, 3), 255, np.uint8)
    traced = trace(Bright(), 0.5)
    assert traced.module == "inner"
    traced.score(image[None])
    veiled = traced.score_masked(image, np.zeros_like(image))
    masks = np.zeros((4, 4, 5), bool)
    masks[0, :1] = True  # 5 of 20: no flip
    masks[1] = True
    masks[2, :3] = True  # 15 of 20
    masks[3, :3] = True  # no smaller
    np.testing.assert_allclose(veiled(masks), [0.75, 0, 0.25, 0.25])
    masks[0, :2], masks[0, 2, :1] = True, True  # 11 of 20
    assert veiled(masks[:1])[0] == pytest.approx(0.45)
    assert traced.images == 6
    assert traced.reached == [(5, 1.0), (5, 0.75), (6, 0.55)]
