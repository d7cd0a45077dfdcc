"""The rows of the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.lab.benchmarks import cse
from counterveil.lab.benchmarks.cse import Optimum
from counterveil.lab.benchmarks.datasets import load_pictograms
from counterveil.lab.benchmarks.methods import (
    BLUR,
    DEFAULT,
    MEAN,
    RELEASED,
    SECOND_STAGE,
    method_tables,
)
from counterveil.search import MaskEvaluator, SearchProblem, make
from tests.lab.benchmarks.fakes import RedClassifier, flagged_image, picture, red_category
from tests.search.scores import Counting, grid, needs_any

ROWS = {method.name: method for rows in method_tables().values() for method in rows}


def test_tables_have_the_papers_methods_and_rivals():
    named = {
        name: [method.attribution for method in rows] for name, rows in method_tables().items()
    }
    assert named["attributions"] == ["fullgrad", "ablationcam", "gradcam", "gradcam++", "xgradcam"]
    cuts = [method.segmentation for method in method_tables()["partitions"]]
    assert cuts == ["bass", "slic", "felzenszwalb", "watershed"]
    assert {m.search for m in method_tables()["searches"]} == {
        "greedy", "minimal", "csra", "sedc", "ben", "reference",
    }  # fmt: skip
    assert all(
        m.search == "greedy"
        for m in (*method_tables()["attributions"], *method_tables()["partitions"])
    )


def test_sam_has_a_row_where_a_checkpoint_is_given():
    sam = method_tables("a/checkpoint")["partitions"][-1]
    assert sam.components(RedClassifier()).segmentation.method.model == "a/checkpoint"


def test_names_are_unique():
    rows = [method for some in method_tables().values() for method in some]
    for row in rows:
        assert row == ROWS[row.name]


def test_without_gradients_there_is_no_table_of_attributions():
    assert list(method_tables(has_gradients=False)) == ["paper", "partitions", "searches"]


def test_expensive_methods_can_be_left_out():
    left_out = set(ROWS) - {
        row.name for rows in method_tables(expensive=False).values() for row in rows
    }
    assert left_out == {"CSRA as published, 10 regions"}


def test_rivals_have_published_settings():
    csra = ROWS["CSRA as published"].components(RedClassifier())
    assert (csra.segmentation.method.n_segments, csra.segmentation.method.compactness) == (30, 50)
    assert (csra.search.method.regions, csra.attribution.name) == (8, "gradcam")
    assert (
        ROWS["CSRA as published, 10 regions"].components(RedClassifier()).search.method.regions
        == 10
    )
    sedc = ROWS["SEDC as published, blur"].components(RedClassifier())
    cut = sedc.segmentation.method
    assert (cut.kernel_size, cut.max_dist, cut.ratio) == (4, 200, 0.2)
    assert sedc.fill == BLUR


def test_the_published_code_attributes_to_the_second_stage():
    row = ROWS["published code as published"]
    classifier = load_pictograms().classifiers[0].classifier
    assert row.components(classifier).attribution.method.layer == SECOND_STAGE[1]
    assert row.components(RedClassifier()).attribution.method.layer is None


def test_the_fills_of_sedc_are_a_blur_of_sigma_5_and_the_mean_colour():
    image = np.zeros((224, 224, 3), np.uint8)
    image[:, 112:] = 200
    mask = np.ones((1, 224, 224), bool)
    assert (MEAN(image, mask) == 100).all()
    step = BLUR(image, mask)[0, 112, :, 0].astype(float)
    spread = np.diff(step) / 200  # the Gaussian itself
    places = np.arange(len(spread)) - 111
    assert np.sqrt((spread * places**2).sum()) == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_measured(name):
    figures = cse.MethodMeasure(ROWS[name], red_category(), Optimum(max_evaluations=50))(
        flagged_image()
    )
    assert set(figures) >= {
        "found",
        "depth",
        "obfuscation",
        "coverage",
        "iou",
        "optimality_gap",
        "evaluations",
    }
    assert figures["milliseconds"] > 0
    assert figures["evaluations"] > 2


def test_the_released_mask_covers_the_object_and_all_images_are_counted():
    """The decision needs the left third of a red bar; the released veil has all of it."""
    bar = flagged_image()
    bar.image[8:16, 28:44] = bar.image[8, 20]
    bar.truth[8:16, 28:44] = True

    class Left(RedClassifier):
        def score(self, images):
            return super().score(images[:, :, :28])

    needed = cse.MethodMeasure(DEFAULT, replace(red_category(), classifier=Left()), None)(bar)
    classifier = Left()
    measure = cse.MethodMeasure(
        RELEASED, replace(red_category(), classifier=classifier), Optimum(max_evaluations=50)
    )
    measure(bar)  # the first one warms up
    before = classifier.images
    released = measure(bar)
    assert (needed["found"], released["found"]) == (1, 1)
    assert needed["coverage"] < 0.5 < 0.9 < released["coverage"]
    assert released["evaluations"] == classifier.images - before > needed["evaluations"]
    assert released["anytime_curve"] == [(released["evaluations"], released["obfuscation"])]
    assert released["optimality_gap"] is None


def test_an_image_that_is_veiled_whole_has_no_counterfactual():
    flagged = red_category()
    flagged.classifier.score = lambda images: np.full(len(images), 0.9)
    figures = cse.MethodMeasure(RELEASED, flagged, None)(flagged_image())
    assert (figures["found"], figures["obfuscation"]) == (0, 1)


def test_images_without_a_counterfactual_count_for_found_and_cost_only():
    found = {"found": 1.0, "depth": 2.0, "optimality_gap": None, "evaluations": 10.0}
    lost = {"found": 0.0, "depth": 9.0, "optimality_gap": None, "evaluations": 30.0}
    row = cse.summarise([found, lost])
    assert row["images"] == 2
    assert [row[k]["mean"] for k in ("found", "depth", "optimality_gap", "evaluations")] == [
        0.5,
        2,
        None,
        20,
    ]
    assert row["depth"]["n"] == 1


def test_the_optimality_gap_is_relative_to_the_smallest_area():
    labels = grid(3, 3)
    classifier, image = RedClassifier(), np.full((12, 12, 3), 200, np.uint8)
    counting = Counting(needs_any(labels, [[0, 1, 2], [4]]))
    classifier.score = counting
    optimum, black = Optimum(max_evaluations=1000), fill("black")
    assert optimum.area(classifier, image, labels, black, 0.5) == pytest.approx(1 / 9)
    spent = counting.images
    assert optimum.area(classifier, image, labels, black, 0.5) == pytest.approx(1 / 9)
    assert counting.images == spent, "looked for twice"
    problem = SearchProblem(labels, -np.arange(9.0))
    greedy = make("greedy")(problem, MaskEvaluator(image, counting, black))
    assert greedy.area_fraction / (1 / 9) - 1 == pytest.approx(2.0)


def test_the_optimum_of_many_regions_or_with_too_few_evaluations_is_unknown():
    image = picture()
    classifier = RedClassifier()
    assert (
        Optimum(max_evaluations=99).area(classifier, image, grid(1, 17), fill("black"), 0.5) is None
    )
    assert classifier.images == 0
    classifier.score = lambda images: np.full(len(images), 0.9)
    labels = grid(4, 4, side=12)
    assert Optimum(max_evaluations=99).area(classifier, image, labels, fill("black"), 0.5) is None
