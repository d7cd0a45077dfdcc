"""The rows of the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterveil import profiles
from counterveil.fills import fill
from counterveil.lab.benchmarks import cse
from counterveil.lab.benchmarks.methods import BLUR, DEFAULT, MEAN, RELEASED, SECOND_STAGE, tables
from counterveil.lab.benchmarks.optimum import Optimum
from counterveil.search import MaskEvaluator, SearchProblem, make
from tests.lab.benchmarks.boxes import Reds, case, picture, watch
from tests.search.scores import Counting, grid, needs_any

ROWS = {method.name: method for rows in tables().values() for method in rows}


def test_the_tables_are_the_papers_and_the_rivals():
    named = {name: [method.attribution for method in rows] for name, rows in tables().items()}
    assert named["attributions"] == ["fullgrad", "ablationcam", "gradcam", "gradcam++", "xgradcam"]
    cuts = [method.segmentation for method in tables()["partitions"]]
    assert cuts == ["bass", "slic", "felzenszwalb", "watershed"]
    assert {m.search for m in tables()["searches"]} == {
        "greedy", "minimal", "csra", "sedc", "ben", "reference",
    }  # fmt: skip
    assert all(m.search == "greedy" for m in (*tables()["attributions"], *tables()["partitions"]))


def test_sam_has_a_row_where_a_checkpoint_is_given():
    sam = tables("a/checkpoint")["partitions"][-1]
    assert sam.parts(Reds()).segmentation.method.model == "a/checkpoint"


def test_a_name_is_one_row_only():
    rows = [method for some in tables().values() for method in some]
    for row in rows:
        assert row == ROWS[row.name]


def test_a_classifier_that_only_scores_has_no_table_of_attributions():
    assert list(tables(opened=False)) == ["paper", "partitions", "searches"]


def test_a_quick_bench_leaves_out_what_takes_a_thousand_images():
    left_out = set(ROWS) - {row.name for rows in tables(heavy=False).values() for row in rows}
    assert left_out == {"CSRA as published, 10 regions"}


def test_rivals_have_their_authors_settings():
    csra = ROWS["CSRA as published"].parts(Reds())
    assert (csra.segmentation.method.n_segments, csra.segmentation.method.compactness) == (30, 50)
    assert (csra.search.method.regions, csra.attribution.name) == (8, "gradcam")
    assert ROWS["CSRA as published, 10 regions"].parts(Reds()).search.method.regions == 10
    sedc = ROWS["SEDC as published, blur"].parts(Reds())
    cut = sedc.segmentation.method
    assert (cut.kernel_size, cut.max_dist, cut.ratio) == (4, 200, 0.2)
    assert sedc.fill == BLUR


def test_the_published_code_looks_at_the_second_stage():
    row = ROWS["published code as published"]
    classifier = profiles.from_profile("proxy").watches[0].classifier
    assert row.parts(classifier).attribution.method.layer == SECOND_STAGE[1]
    assert row.parts(Reds()).attribution.method.layer is None


def test_sedc_s_fills_are_a_blur_of_sigma_5_and_the_mean_colour():
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
    figures = cse.explain(ROWS[name], watch(), Optimum(evaluations=50))(case())
    assert set(figures) >= {
        "found",
        "depth",
        "obfuscation",
        "coverage",
        "iou",
        "gap",
        "evaluations",
    }
    assert figures["milliseconds"] > 0
    assert figures["evaluations"] > 2


def test_what_is_released_covers_the_object_and_costs_all_that_was_scored():
    """The decision needs the left third of a red bar; the released veil has all of it."""
    bar = case()
    bar.image[8:16, 28:44] = bar.image[8, 20]
    bar.truth[8:16, 28:44] = True

    class Left(Reds):
        def score(self, images):
            return super().score(images[:, :, :28])

    needed = cse.explain(DEFAULT, replace(watch(), classifier=Left()), None)(bar)
    classifier = Left()
    measure = cse.explain(
        RELEASED, replace(watch(), classifier=classifier), Optimum(evaluations=50)
    )
    measure(bar)  # the first one warms up
    before = classifier.images
    released = measure(bar)
    assert (needed["found"], released["found"]) == (1, 1)
    assert needed["coverage"] < 0.5 < 0.9 < released["coverage"]
    assert released["evaluations"] == classifier.images - before > needed["evaluations"]
    assert released["reached"] == [(released["evaluations"], released["obfuscation"])]
    assert released["gap"] is None


def test_an_image_that_is_veiled_whole_has_no_counterfactual():
    watched = watch()
    watched.classifier.score = lambda images: np.full(len(images), 0.9)
    figures = cse.explain(RELEASED, watched, None)(case())
    assert (figures["found"], figures["obfuscation"]) == (0, 1)


def test_what_is_not_found_counts_for_nothing_but_found_and_cost():
    found = {"found": 1.0, "depth": 2.0, "gap": None, "evaluations": 10.0}
    lost = {"found": 0.0, "depth": 9.0, "gap": None, "evaluations": 30.0}
    row = cse.summary([found, lost])
    assert row["images"] == 2
    assert [row[k]["mean"] for k in ("found", "depth", "gap", "evaluations")] == [0.5, 2, None, 20]
    assert row["depth"]["n"] == 1


def test_the_gap_is_area_above_the_least_area():
    labels = grid(3, 3)
    classifier, image = Reds(), np.full((12, 12, 3), 200, np.uint8)
    counting = Counting(needs_any(labels, [[0, 1, 2], [4]]))
    classifier.score = counting
    optimum, black = Optimum(evaluations=1000), fill("black")
    assert optimum.area(classifier, image, labels, black, 0.5) == pytest.approx(1 / 9)
    spent = counting.images
    assert optimum.area(classifier, image, labels, black, 0.5) == pytest.approx(1 / 9)
    assert counting.images == spent, "looked for twice"
    problem = SearchProblem(labels, -np.arange(9.0))
    greedy = make("greedy")(problem, MaskEvaluator(image, counting, black))
    assert greedy.area_fraction / (1 / 9) - 1 == pytest.approx(2.0)


def test_no_gap_is_told_of_partitions_too_fine_or_proofs_too_long():
    image = picture()
    classifier = Reds()
    assert Optimum(evaluations=99).area(classifier, image, grid(1, 17), fill("black"), 0.5) is None
    assert classifier.images == 0
    classifier.score = lambda images: np.full(len(images), 0.9)
    labels = grid(4, 4, side=12)
    assert Optimum(evaluations=99).area(classifier, image, labels, fill("black"), 0.5) is None
