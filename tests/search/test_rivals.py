"""Rival searches against their authors' rules, worked out by hand or by brute force."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.errors import UsageError
from counterveil.fills import fill
from counterveil.search import SEARCHES, MaskEvaluator, SearchProblem, make
from counterveil.search.rivals.ben import TestLog, covering_array
from counterveil.search.rivals.subset_searches import cost
from tests.search.scores import Counting, bands, grid, needs_all, needs_any, picture, table

WIDTHS = (3, 1, 4, 1, 5)


@dataclass
class Found:
    """A search's answer, and how many images it asked for."""

    answer: object
    images: int

    @property
    def regions(self) -> set[int]:
        return set(self.answer.regions)


def run(name, labels, score, importance, *, limits=None, max_evaluations=5000, **options):
    counting = Counting(score)
    problem = SearchProblem(labels, np.asarray(importance, float), **(limits or {}))
    evaluator = MaskEvaluator(
        picture(labels), counting, fill("black"), max_evaluations=max_evaluations
    )
    return Found(make(name, **options)(problem, evaluator), counting.images)


def run_log(labels, score, regions):
    evaluator = MaskEvaluator(picture(labels), score, fill("black"))
    return TestLog(evaluator.regions(labels), regions, 0.5)


def code(regions):
    return sum(2**region for region in regions)


def random_case(seed, widths=WIDTHS, most=0.3):
    """A score without any order to it, unsafe at first; rarely safe, so that searches go on."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(2 ** len(widths)) < most, rng.random(2 ** len(widths)), 0.95)
    values[0] = 0.9
    return bands(widths), values, rng.random(len(widths))


def share(labels, regions):
    return float(np.isin(labels, list(regions)).mean())


def subsets(items, least=1):
    for size in range(least, len(items) + 1):
        yield from itertools.combinations(items, size)


seeds = st.integers(0, 10_000)


# --- what every search promises, on scores without any order ---


@pytest.mark.parametrize(
    "name", [name for name in SEARCHES if name not in ("minimal", "levelsets")]
)
@given(seed=seeds, evaluations=st.integers(1, 60), most=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_budget_is_kept_and_the_result_is_true(name, seed, evaluations, most):
    labels, values, importance = random_case(seed)
    found = run(
        name, labels, table(labels, values), importance,
        limits={"max_regions": most}, max_evaluations=evaluations,
    )  # fmt: skip
    answer = found.answer
    assert answer.evaluations == found.images <= evaluations
    assert len(answer.regions) <= most
    assert answer.score_after == values[code(answer.regions)]
    assert (answer.mask == np.isin(labels, answer.regions)).all()
    assert (answer.outcome == "found") == (answer.score_after < answer.target)
    if answer.irreducible:
        for region in answer.regions:
            assert values[code(set(answer.regions) - {region})] >= answer.target


@pytest.mark.parametrize(
    "name", [name for name in SEARCHES if name not in ("exhaustive", "levelsets")]
)
@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_no_search_beats_the_exhaustive_minimum(name, seed):
    labels, values, importance = random_case(seed)
    answer = run(name, labels, table(labels, values), importance).answer
    least = run("exhaustive", labels, table(labels, values), importance).answer
    if answer.outcome == "found":
        assert least.outcome == "found"
        assert least.area_fraction <= answer.area_fraction


# --- exhaustive ---


@given(seed=seeds, most=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_exhaustive_returns_the_least_area_of_all_flips(seed, most):
    labels, values, importance = random_case(seed, most=0.1)
    flips = [s for s in subsets(range(5)) if values[code(s)] < 0.5 and len(s) <= most]
    limits = {"max_regions": most}
    score = table(labels, values)
    answer = run("exhaustive", labels, score, importance, limits=limits, max_evaluations=99).answer
    assert (answer.outcome == "found") == bool(flips)
    if flips:
        assert answer.area_fraction == pytest.approx(min(share(labels, s) for s in flips))
        assert answer.irreducible
        assert answer.depth == len(answer.regions)


def test_exhaustive_prefers_a_small_area_to_few_regions():
    labels = bands(WIDTHS)
    score = needs_any(labels, [[4], [1, 3], [0]])
    assert run("exhaustive", labels, score, np.ones(5)).regions == {1, 3}


def test_exhaustive_rejects_more_than_sixteen_regions():
    labels = grid(1, 17)
    with pytest.raises(UsageError, match="at most 16 regions, got 17"):
        run("exhaustive", labels, needs_all(labels, [0]), np.ones(17))


def test_exhaustive_finds_nothing_where_the_budget_ends_before_the_proof():
    labels = grid(4, 4)
    score = needs_all(labels, [0, 1, 2])
    found = run("exhaustive", labels, score, np.ones(16), max_evaluations=99)
    assert (found.answer.outcome, found.images) == ("not_found", 99)


# --- CSRA ---


def test_csra_cost_follows_the_published_code():
    scores, areas = np.array([0.5, 0.51, 0.76, 0.9]), np.array([0.1, 0.2, 0.3, 0.4])
    wanted = [0.6, 0.71 + 1, 1.06 + 2, 1.3 + 2 + 10**1.9]
    assert cost(scores, areas) == pytest.approx(wanted)


@given(seed=seeds, considered=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_csra_is_the_cheapest_subset_of_the_most_important(seed, considered):
    labels, values, importance = random_case(seed)
    top = sorted(range(5), key=lambda region: -importance[region])[:considered]
    prices = {}
    for chosen in subsets(top):
        p = values[code(chosen)]
        price = p + share(labels, chosen)
        price += (1 if p > 0.5 else 0) + (1 if p > 0.75 else 0)
        prices[chosen] = price + (10 ** (1 + p) if p > 0.8 else 0)
    cheapest = min(prices.values())
    found = run("csra", labels, table(labels, values), importance, regions=considered)
    assert found.images == 1 + len(prices)
    assert prices[tuple(r for r in top if r in found.regions)] == pytest.approx(cheapest)
    assert (found.answer.outcome == "found") == (found.answer.score_after < 0.5)


def test_csra_never_stops_early_and_may_miss_what_lies_further_down():
    labels, ranks = grid(4, 4), -np.arange(16.0)
    first = run("csra", labels, needs_all(labels, [0]), ranks)
    assert (first.images, first.regions, first.answer.depth) == (256, {0}, 1)
    assert run("csra", labels, needs_all(labels, [8]), ranks).answer.outcome == "not_found"
    tenth = run("csra", labels, needs_all(labels, [8]), ranks, regions=10)
    assert (tenth.images, tenth.regions, tenth.answer.depth) == (1024, {8}, 9)


def test_csra_trades_area_for_a_lower_score():
    labels = bands([1] * 10)
    values = np.full(1024, 0.95)
    values[0], values[code([0])], values[code([0, 1])] = 0.9, 0.45, 0.2  # 0.55 against 0.4
    assert run("csra", labels, table(labels, values), -np.arange(10.0)).regions == {0, 1}


def test_csra_stops_at_the_threshold_and_reports_it():
    labels = grid(3, 3)
    strict = {"threshold": 0.5, "target": 0.2}
    answer = run(
        "csra", labels, needs_all(labels, [4], low=0.4), np.eye(9)[4], limits=strict
    ).answer
    assert (answer.outcome, answer.target) == ("found", 0.5)
    answer = run("csra", labels, needs_all(labels, [4]), np.eye(9)[4], limits=strict).answer
    assert answer.target == 0.2


# --- SEDC ---


def best_first(values, regions, gain, wins):
    """The authors' loop in their words: sets, their gains, and what wins; images scored."""
    tested = 0

    def test(candidates):
        nonlocal tested
        tested += len(candidates)
        winners = [s for s in candidates if wins(values[code(s)])]
        frontier.extend((gain(values[code(s)]), s) for s in candidates if s not in winners)
        return winners

    frontier: list = []
    winners = test([(region,) for region in range(regions)])
    while not winners:
        frontier = [entry for entry in frontier if len(entry[1]) < regions]
        if not frontier:
            return None, tested
        best = max(range(len(frontier)), key=lambda i: frontier[i][0])  # the first of equals
        _, chosen = frontier.pop(best)
        winners = test([(*chosen, r) for r in range(regions) if r not in chosen])
    return set(min(winners, key=lambda s: values[code(s)])), tested


VARIANTS = {
    "SEDC: drop of the class": lambda p: 0.9 - p,
    "SEDC-T: gain of the target": lambda p: (1 - p) - (1 - 0.9),
    "SEDC-T2: margin of the target": lambda p: (1 - p) - p,
}


@pytest.mark.parametrize("variant", VARIANTS)
@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_sedc_and_both_targeted_variants_equal_the_published_loop(variant, seed):
    rng = np.random.default_rng(seed)
    # Sixteenths, so that gains are exact and equal ones are equal in every variant.
    values = rng.integers(8, 15, 16) / 16
    values[rng.integers(1, 16)] = 5 / 16
    values[0] = 14 / 16
    exact = {key: round(VARIANTS[variant](key), 9) for key in set(values.tolist())}
    wanted, tested = best_first(values, 4, lambda p: exact[float(p)], lambda p: p < 0.5)
    found = run("sedc", bands((1, 2, 3, 4)), table(bands((1, 2, 3, 4)), values), np.ones(4))
    assert found.images == tested + 1
    assert (found.regions == wanted) if wanted else (found.answer.outcome == "not_found")


def test_sedc_takes_the_largest_drop_among_single_regions():
    labels = bands(WIDTHS)
    values = np.full(32, 0.9)
    values[code([1])], values[code([4])] = 0.4, 0.3
    found = run("sedc", labels, table(labels, values), np.ones(5))
    assert (found.regions, found.images) == ({4}, 6)  # though 1 is smaller


def test_sedc_expands_the_largest_drop_only():
    labels = bands(WIDTHS)
    values = np.full(32, 0.9)
    values[code([2])] = 0.6
    values[code([2, 3])] = 0.45
    values[code([0, 1])] = 0.01  # on the way that is not taken
    found = run("sedc", labels, table(labels, values), np.ones(5))
    assert (found.regions, found.images) == ({2, 3}, 1 + 5 + 4)
    assert found.answer.irreducible


# --- the published reference ---


def published(values, ranked, each):
    """Depth by depth, 16 at a time; the surest cell of a batch, or the best image."""
    tested = 0
    for depth in range(1, len(ranked) + 1):
        sets = [s for s in subsets(ranked[:depth]) if ranked[depth - 1] in s]
        for start in range(0, len(sets), 16):
            batch = sets[start : start + 16]
            tested += len(batch)
            scores = [values[code(s)] for s in batch]
            cells = [(side, at) for at, p in enumerate(scores) for side in (1 - p, p)]
            surest = max(range(len(cells)), key=lambda i: cells[i][0])
            at = int(np.argmin(scores)) if each else cells[surest][1]
            if scores[at] < 0.5:
                return set(batch[at]), depth, tested
    return None, len(ranked), tested


@pytest.mark.parametrize("each", [False, True])
@given(seed=seeds)
@settings(max_examples=80, deadline=None)
def test_the_reference_search_is_the_published_one(each, seed):
    labels, values, importance = random_case(seed, widths=(3, 1, 4, 1, 5, 2), most=0.05)
    ranked = sorted(range(6), key=lambda region: -importance[region])
    wanted, depth, tested = published(values, ranked, each)
    found = run("reference", labels, table(labels, values), importance, per_image=each)
    assert (found.images, found.answer.depth) == (tested + 1, depth)
    assert (found.regions == wanted) if wanted else (found.answer.outcome == "not_found")


def test_reference_misses_a_flip_less_certain_than_an_unsafe_image():
    labels = bands((1, 1))
    values = np.array([0.9, 0.95, 0.9, 0.4])  # the last: both veiled, 60 % sure to be safe
    hidden = run("reference", labels, table(labels, values), [2, 1])
    assert hidden.answer.outcome == "not_found"
    assert hidden.answer.score_after == 0.9
    shown = run("reference", labels, table(labels, values), [2, 1], per_image=True)
    assert (shown.answer.outcome, shown.regions) == ("found", {0, 1})


def test_the_reference_search_scores_a_thousand_images_to_depth_ten():
    labels = grid(4, 4)
    found = run("reference", labels, lambda images: np.full(len(images), 0.9), -np.arange(16.0))
    assert (found.images, found.answer.depth) == (1 + 1023, 10)


def test_reference_can_dilate_its_masks():
    labels = grid(3, 3, side=6)
    mask = run("reference", labels, needs_all(labels, [4]), np.eye(9)[4], dilation=1).answer.mask
    assert mask.sum() == 8 * 8
    assert mask[5:13, 5:13].all()


# --- BEN ---


def test_ben_finds_a_pair_among_many_and_shrinks_what_is_single():
    labels = grid(4, 4)
    pair = run("ben", labels, needs_all(labels, [3, 12]), np.ones(16))
    assert (pair.answer.outcome, pair.regions) == ("found", {3, 12})
    assert pair.images < 120  # all pairs: 120
    assert run("ben", labels, needs_all(labels, [7]), np.ones(16)).regions == {7}


def test_ben_raises_its_strength_for_three_and_explains_no_more_than_that():
    labels = grid(4, 4)
    three = run("ben", labels, needs_all(labels, [1, 6, 11]), np.ones(16))
    assert three.regions == {1, 6, 11}
    low = run("ben", labels, needs_all(labels, [1, 6, 11]), np.ones(16), strength=2)
    assert low.answer.outcome == "not_found"
    many = run("ben", labels, needs_all(labels, range(5)), np.ones(16), strength=4)
    assert many.answer.outcome == "not_found"


def test_ben_finds_a_flip_that_needs_another_region_kept():
    labels = bands((1, 1, 1, 1))

    def score(images):
        black = (images[:, 0] == 0).all(axis=-1)  # (B, 4), one column a strip
        return np.where(black[:, 1] & ~black[:, 2], 0.1, 0.9)

    found = run("ben", labels, score, np.ones(4))
    assert (found.answer.outcome, found.regions) == ("found", {1})


def test_ben_suspiciousness_equals_a_calculation_by_hand():
    labels = bands((1, 1, 1))
    log = run_log(labels, needs_all(labels, [0]), 3)
    assert log.run(np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]], bool)) == 3
    assert log.run(np.array([[1, 1, 0], [0, 0, 0]], bool)) == 0  # known, as is the image itself
    # Flipping: 110, 101. Not: 000, 011. Single: only "0 masked".
    assert log.suspicious(1).masked().tolist() == [[True, False, False]]
    pairs = log.suspicious(2)
    # 0 masked with 1 kept or masked, 2 kept or masked; 1 masked with 2 kept; 1 kept, 2 masked.
    assert len(pairs) == 6
    rho = pairs.rho
    # 0 masked: 2 of 2 flips hold it, 2 of its 2 tests flip, 4 of 6 suspects hold it.
    assert rho[0, 1] == pytest.approx((1 + 1 + 4 / 6) / 3)
    # 1 masked: 1 of 2, 1 of 2 (110, 011), 2 of 6.
    assert rho[1, 1] == pytest.approx((1 / 2 + 1 / 2 + 2 / 6) / 3)
    assert rho[0, 0] == 0
    assert pairs.most_suspicious(4).masked()[:, 0].all()  # all that hold the culprit come first


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_ben_new_tests_are_new_and_hold_their_combination(seed):
    labels, values, _ = random_case(seed)
    log = run_log(labels, table(labels, values), 5)
    log.run(np.random.default_rng(seed).random((8, 5)) < 0.5)
    top = log.suspicious(2).most_suspicious(10)
    tests = top.new_tests()
    known = {row.tobytes() for row in log.tests}
    assert len({row.tobytes() for row in tests} - known) == len(tests)
    calm = top.rho.argmin(axis=1) == 1  # each region as it is less suspicious
    held = [(tests[:, c] == v).all(axis=1) for c, v in zip(top.columns, top.values, strict=True)]
    assert np.all([hold.any() for hold in held]) or len(tests) < len(top)
    for test in tests:
        # Of some combination, calm all around, but for one region where that was tested already.
        away = [np.delete(test != calm, columns).sum() for columns in top.columns]
        assert min(away[at] for at, hold in enumerate(held) if hold[(tests == test).all(1)]) <= 1


# --- covering arrays ---


@given(regions=st.integers(1, 12), strength=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_covering_array_holds_every_combination(regions, strength):
    strength = min(strength, regions)
    tests = covering_array(regions, strength)
    for columns in itertools.combinations(range(regions), strength):
        assert len(np.unique(tests[:, columns], axis=0)) == 2**strength


@pytest.mark.parametrize(
    ("regions", "strength", "most"),
    [(10, 2, 10), (20, 2, 13), (10, 3, 22), (20, 3, 32), (10, 4, 48)],  # of 2 ** regions
)
def test_covering_array_is_small(regions, strength, most):
    assert len(covering_array(regions, strength)) <= most


def test_covering_array_is_cached_and_read_only():
    array = covering_array(6, 2)
    assert array is covering_array(6, 2)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = True


# --- options ---


def test_unknown_options_are_rejected():
    with pytest.raises(UsageError, match=r"'greedy': Greedy\(\) takes no arguments"):
        make("greedy", regions=3)
    with pytest.raises(UsageError, match=r"'csra'.*nonsense"):
        make("csra", nonsense=1)


@pytest.mark.parametrize(("name", "options"), [("csra", {"regions": 0}), ("ben", {"top": 0})])
def test_options_below_one_are_rejected(name, options):
    with pytest.raises(UsageError, match="at least 1"):
        make(name, **options)
