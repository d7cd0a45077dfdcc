"""Intervals, comparisons, anytime curves and pages."""

from __future__ import annotations

import json

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.lab.benchmarks.anytime_curve import AnytimeSearch, count_images
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean, bootstrap_ratio
from counterveil.lab.benchmarks.cse import compare
from counterveil.lab.benchmarks.pages import cse_page, to_json
from counterveil.search import MaskEvaluator, SearchProblem
from counterveil.types import GradientClassifier, ModelInfo


def test_a_mean_has_an_interval_that_narrows():
    rng = np.random.default_rng(0)
    few, many = bootstrap_mean(rng.random(20)), bootstrap_mean(rng.random(2000))
    for found in (few, many):
        assert found.low < found.mean < found.high
    assert many.high - many.low < few.high - few.low
    # The normal approximation, for many.
    assert many.high - many.low == pytest.approx(2 * 1.96 * np.sqrt(1 / 12 / 2000), rel=0.15)


def test_an_interval_is_the_same_each_time():
    assert bootstrap_mean([0.0, 1.0, 1.0]) == bootstrap_mean([0.0, 1.0, 1.0])


def test_nothing_measured_is_no_number():
    nothing = bootstrap_mean([])
    assert np.isnan(nothing.mean)
    assert nothing.to_dict() == {"mean": None, "low": None, "high": None, "n": 0}


def test_results_are_written_unchanged():
    row = {
        "images": 2,
        "found": bootstrap_mean([1.0, 1.0]).to_dict(),
        "optimality_gap": bootstrap_mean([]).to_dict(),
    }
    row["depth"] = bootstrap_mean([2.0, 3.0]).to_dict()
    results = {
        "classifiers": {"k": {"accuracy": bootstrap_mean([1.0, 0.0]).to_dict()}},
        "counterfactuals": {
            "partitions": {"one": {"k": row, "l": row}, "two": {"k": row, "l": row}}
        },
        "released": {"k": row},
        "edges": {
            "k": {"top": row, "left": {**row, "optimality_gap": bootstrap_mean([0.5]).to_dict()}}
        },
    }
    assert json.loads(to_json(results)) == results
    page = cse_page(results)
    assert "| k | 50.0 % [" in page
    assert "| top | 2 | 100.0 % [100.0 %, 100.0 %] | – | 2.50 [2.00, 3.00] |" in page
    assert "| k | 2 | 100.0 % [100.0 %, 100.0 %] | 2.50 [2.00, 3.00] |" in page  # unknown to all
    order = [page.index(f"| {name} |") for name in ("k: one", "k: two", "l: one", "l: two")]
    assert order == sorted(order)  # as in the paper: a category, and all methods on it
    assert "`counterveil bench cse --quick --out" in cse_page(
        results, command="counterveil bench cse --quick"
    )


def test_a_page_of_a_folder_names_the_images_and_not_the_scenes():
    row = {"images": 1, "found": bootstrap_mean([1.0]).to_dict()}
    results = {
        "counterfactuals": {"searches": {"one": {"unsafe": row}}},
        "images": {"read": 9, "flagged": 3, "has_gradients": False},
        "measured": {"data": "holiday", "classifier": "nudenet:BELLY"},
    }
    page = cse_page(results)
    assert "`holiday`: the first 3 images that `nudenet:BELLY` flags, of 9 images read" in page
    assert "occlusion ranked" in page
    assert not any(word in page for word in ("scenes", "Released", "The paper found"))


def test_a_ratio_of_means_does_not_weigh_the_small_more():
    found = bootstrap_ratio([2.0, 0.4], [1.0, 0.1])
    assert found.mean == pytest.approx(2.4 / 1.1)
    assert found.low <= found.mean <= found.high
    assert bootstrap_ratio([], []).to_dict()["mean"] is None


def test_a_search_is_set_beside_another_where_both_found():
    def case(found, obfuscation, coverage, evaluations):
        results = {"found": found, "obfuscation": obfuscation, "coverage": coverage}
        return results | {"evaluations": evaluations}

    ours = [case(1.0, 0.1, 0.5, 10.0), case(1.0, 0.2, 0.7, 10.0), case(1.0, 0.9, 0.9, 10.0)]
    rival = [case(1.0, 0.4, 0.4, 40.0), case(1.0, 0.2, 1.0, 40.0), case(0.0, 0.1, 0.0, 70.0)]
    row = compare(ours, rival)
    assert row["found_difference"]["mean"] == pytest.approx(1 / 3, abs=1e-5)
    assert row["relative_area"]["mean"] == pytest.approx(0.3 / 0.6)
    assert row["coverage_difference"]["mean"] == pytest.approx(-0.1)
    assert row["relative_evaluations"]["mean"] == pytest.approx(30 / 150)
    assert "evaluations_to_match" not in row
    assert "coverage_difference" not in compare(
        *[[{k: v for k, v in ours[0].items() if k != "coverage"}]] * 2
    )


def test_evaluations_to_match_count_until_as_little_is_veiled_as_by_the_rival():
    def case(anytime_curve, obfuscation, evaluations, found=1.0):
        results = {"found": found, "obfuscation": obfuscation, "anytime_curve": anytime_curve}
        return results | {"evaluations": evaluations}

    ours = [
        case([[5, 0.4], [9, 0.2], [30, 0.1]], 0.1, 100.0),
        case([[5, 0.3]], 0.3, 50.0),
        case([], 0.0, 512.0, found=0.0),
    ]
    rival = [case([], 0.2, 20.0), case([], 0.25, 10.0), case([], 0.1, 7.0)]
    # As little after nine; never, so all fifty; and nothing told where ours found none.
    assert compare(ours, rival)["evaluations_to_match"]["mean"] == pytest.approx(
        (9 + 50) / (20 + 10), abs=1e-5
    )


class BrightClassifier:
    """P(unsafe) is the share of pixels that are not black; looks like a gradient classifier."""

    info = ModelInfo("bright")
    module = "inner"
    to_input = target = staticmethod(lambda given: given)
    to_image_maps = staticmethod(lambda maps, size: maps)

    def score(self, images):
        return (images > 0).mean(axis=(1, 2, 3))


def test_the_anytime_curve_has_each_smaller_flip_and_the_images_scored_by_its_batch():
    image = np.full((4, 5, 3), 255, np.uint8)
    masks = np.zeros((4, 4, 5), bool)
    masks[0, :1] = True  # 5 of 20: no flip
    masks[1] = True
    masks[2, :3] = True  # 15 of 20
    masks[3, :3] = True  # not smaller
    last = np.zeros((1, 4, 5), bool)
    last[0, :2], last[0, 2, :1] = True, True  # 11 of 20

    def search(problem, evaluator):
        assert evaluator.score_before == 1
        np.testing.assert_allclose(evaluator.score(masks), [0.75, 0, 0.25, 0.25])
        assert evaluator.score(last)[0] == pytest.approx(0.45)
        return problem.not_needed(evaluator)

    problem = SearchProblem(np.zeros((4, 5), np.int32), np.ones(1))
    observed = AnytimeSearch(search)
    result = observed(problem, MaskEvaluator(image, BrightClassifier().score, fill("black")))
    assert observed.evaluations == result.evaluations == 6
    assert observed.curve == [(5, 1.0), (5, 0.75), (6, 0.55)]


def test_images_are_counted_and_gradients_still_supported():
    image = np.full((4, 5, 3), 255, np.uint8)
    counter = count_images(BrightClassifier())
    assert isinstance(counter, GradientClassifier) and counter.module == "inner"
    counter.score(np.stack([image, image]))
    assert counter.score_masked(image, image) is None, "this classifier does not composite"
    assert counter.images == 2

    class Compositing(BrightClassifier):
        def score_masked(self, image, paint):
            return lambda masks: np.full(len(masks), 0.5)

    counter = count_images(Compositing())
    counter.score_masked(image, image)(np.zeros((3, 4, 5), bool))
    assert counter.images == 3
