"""BEN: combinatorial testing, and the combinations that occur in flipping tests only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float64, Int

from counterveil.errors import UsageError
from counterveil.search.evaluator import MaskEvaluator, RegionScorer, RegionSet
from counterveil.search.problem import SearchProblem
from counterveil.types import SearchResult

Tests = Bool[np.ndarray, "tests regions"]
"""Which regions each test masks."""

_MAX_COMBINATIONS = 250_000  # of one strength; larger strengths are not tried
_UNASSIGNED = -1  # value in a covering array that no combination needs yet


@dataclass(frozen=True)
class Ben:
    """Identifies the combination of kept and masked regions that flips the decision.

    1. Run the tests of a t-way covering array; each masks about half of the regions.
       Suspicious are combinations of t regions, kept or masked, that occur in tests that flip
       and in no other.
    2. Test the ``top`` most suspicious again, each in the least suspicious context, which
       clears innocent ones; repeat until their number stays.
    3. Take suspicious combinations of 1 to t regions, smaller ones first. Veil only what each
       masks; the first flip is the answer. Without one, t grows.

    A test may mask more than ``max_regions`` regions; an answer never does, and never more than
    ``strength``. Where every context was tested, the original draws others at random; this
    changes the least important regions, one by one. ``depth`` is the number of veiled regions.
    Importance, ``refinement_labels`` and ``attribution_map`` are not used.

    Attributes:
        strength: largest t; it starts at 2.
        top: combinations tested, or veiled, in a round.

    References:
        Ghandehari et al., "Identifying Failure-Inducing Combinations in a Combinatorial Test
        Set", ICST 2012. Chandrasekaran et al., "A Combinatorial Approach to Explaining Image
        Classifiers", ICSTW 2021.
    """

    strength: int = 4
    top: int = 10

    def __post_init__(self) -> None:
        if self.strength < 1 or self.top < 1:
            raise UsageError(
                f"BEN needs strength and top of at least 1, got {self.strength} and {self.top}"
            )

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer, regions = evaluator.regions(problem.labels), problem.regions_total
        log = TestLog(scorer, regions, problem.target)
        lowest, best = np.inf, None
        for strength in range(min(2, self.strength, regions), min(self.strength, regions) + 1):
            if comb(regions, strength) * 2**strength > _MAX_COMBINATIONS:
                break
            log.run(covering_array(regions, strength))
            self._clear_innocent(log, strength)
            for size in range(1, strength + 1):
                for masked in log.suspicious(size).most_suspicious(self.top).masked():
                    if not 0 < masked.sum() <= problem.max_regions:
                        continue
                    score = _score_once(scorer, masked)
                    if score < lowest:
                        lowest, best = score, masked
                    if score < problem.target:
                        return problem.found(scorer, masked, int(masked.sum()))
            if not evaluator.remaining:
                break
        return problem.not_found(scorer, best, 0 if best is None else int(best.sum()))

    def _clear_innocent(self, log: TestLog, strength: int) -> None:
        """Test suspicious combinations until their number stays or no new test is left."""
        count = -1
        suspicious = log.suspicious(strength)
        while len(suspicious) != count and log.scorer.evaluator.remaining:
            count = len(suspicious)
            if not log.run(suspicious.most_suspicious(self.top).new_tests()):
                return
            suspicious = log.suspicious(strength)


def _score_once(scorer: RegionScorer, regions: RegionSet) -> float:
    """The score of a set; infinite where the budget has ended."""
    scores = scorer.score_once(regions[None])
    return float(scores[0]) if len(scores) else np.inf


class TestLog:
    """Tests that were run, and whether each flips the decision."""

    __test__ = False  # no test case for pytest

    def __init__(self, scorer: RegionScorer, regions: int, target: float) -> None:
        self.scorer, self._target = scorer, target
        self.tests: Tests = np.zeros((1, regions), bool)  # the first masks nothing
        self.flips = np.zeros(1, bool)

    def run(self, tests: Tests) -> int:
        """Run the tests that were not run yet; returns their number."""
        seen = {row.tobytes() for row in self.tests}
        unseen = {row.tobytes(): row for row in tests if row.tobytes() not in seen}
        if not unseen:
            return 0
        new = np.stack(list(unseen.values()))
        scores = self.scorer.score(new)
        self.tests = np.concatenate([self.tests, new[: len(scores)]])
        self.flips = np.append(self.flips, scores < self._target)
        return len(scores)

    def suspicious(self, size: int) -> SuspiciousCombinations:
        """Combinations of ``size`` regions that occur in flipping tests only."""
        columns = np.array(list(combinations(range(self.tests.shape[1]), size)), int)
        # A code has a bit for each region of a combination: whether the test masks it.
        codes = self.tests[:, columns] @ (2 ** np.arange(size))  # (tests, combinations)
        occurs = np.zeros((2, len(columns), 2**size), bool)  # in tests without, with a flip
        for row, flips in zip(codes, self.flips, strict=True):
            occurs[int(flips), np.arange(len(columns)), row] = True
        index, code = np.nonzero(occurs[1] & ~occurs[0])
        values = (code[:, None] >> np.arange(size)) & 1
        return SuspiciousCombinations(self, columns[index], values, codes[:, index] == code)


class SuspiciousCombinations:
    """Suspicious combinations of kept and masked regions.

    Args:
        log: the tests.
        columns: regions of each combination, ``(S, size)``.
        values: 1 where a region is masked, 0 where it is kept, ``(S, size)``.
        occurs: whether each combination occurs in each test, ``(tests, S)``.
        rho: suspiciousness of each region kept and masked, ``(regions, 2)``; ``None`` computes
            it from these combinations.
    """

    def __init__(
        self,
        log: TestLog,
        columns: Int[np.ndarray, "s size"],
        values: Int[np.ndarray, "s size"],
        occurs: Bool[np.ndarray, "tests s"],
        rho: Float64[np.ndarray, "regions 2"] | None = None,
    ) -> None:
        self._log, self.columns, self.values, self._occurs = log, columns, values, occurs
        self.rho = self._suspiciousness() if rho is None else rho

    def __len__(self) -> int:
        return len(self.columns)

    def most_suspicious(self, top: int) -> SuspiciousCombinations:
        """The ``top`` first by the sum of two ranks: most suspicious, least suspicious context."""
        if not len(self):
            return self
        rho, tests = self.rho, self._log.tests.astype(int)
        own = rho[self.columns, self.values].sum(axis=1)  # (S,)
        whole = rho[np.arange(tests.shape[1]), tests].sum(axis=1)  # (tests,)
        context = np.where(self._occurs, whole[:, None] - own, np.inf).min(axis=0)
        # All combinations have the same size, so sums rank like the means of the paper.
        order = np.argsort(_ranks(-own) + _ranks(context), kind="stable")[:top]
        return SuspiciousCombinations(
            self._log, self.columns[order], self.values[order], self._occurs[:, order], rho
        )

    def masked(self) -> Tests:
        """Regions that each combination masks, ``(S, regions)``."""
        sets = np.zeros((len(self), self._log.tests.shape[1]), bool)
        sets[np.arange(len(self))[:, None], self.columns] = self.values == 1
        return sets

    def new_tests(self) -> Tests:
        """A new test for each combination, the other regions in their less suspicious state."""
        rho = self.rho
        seen = {row.tobytes() for row in self._log.tests}
        # Changing a region that is about as suspicious kept as masked matters least.
        least_important = np.argsort(np.abs(rho[:, 1] - rho[:, 0]), kind="stable")
        tests = []
        for columns, values in zip(self.columns, self.values, strict=True):
            test = rho[:, 1] < rho[:, 0]
            test[columns] = values == 1
            for region in [None, *(r for r in least_important if r not in columns)]:
                changed = test.copy()
                if region is not None:
                    changed[region] = ~changed[region]
                if changed.tobytes() not in seen:
                    tests.append(changed)
                    seen.add(changed.tobytes())
                    break
        return np.array(tests, bool).reshape(-1, len(rho))

    def _suspiciousness(self) -> Float64[np.ndarray, "regions 2"]:
        """Suspiciousness of each region kept and masked, the mean of three shares (ICST 2012).

        Of the flipping tests, those that hold it; of the tests that hold it, those that flip; of
        the suspicious combinations, those that hold it.
        """
        tests, flips = self._log.tests, self._log.flips
        values = np.stack([~tests, tests], axis=-1)  # (tests, regions, 2)
        flipping, total = values[flips].sum(axis=0), values.sum(axis=0)
        in_combinations = np.zeros(flipping.shape)
        np.add.at(in_combinations, (self.columns, self.values), 1)
        shares = flipping / max(1, flips.sum()) + flipping / np.maximum(1, total)
        rho: Float64[np.ndarray, "regions 2"] = (shares + in_combinations / max(1, len(self))) / 3
        return rho


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(values), int)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


@lru_cache(maxsize=64)
def covering_array(regions: int, strength: int) -> Tests:
    """Tests in which any ``strength`` regions are kept and masked in every combination.

    In-parameter-order: starts with all combinations of the first regions and adds one region
    after another. Each row takes the value that covers more new combinations (horizontal
    growth); the others go where they fit, or into new rows (vertical growth). Unassigned values
    are kept. Deterministic; the array is read-only.

    Args:
        regions: at least ``strength``.
        strength: t, at least 1.

    References:
        Lei et al., "IPOG: A General Strategy for T-Way Software Testing", ECBS 2007, the
        generator that BEN's authors use.
    """
    assert 1 <= strength <= regions, (regions, strength)
    codes = np.arange(2**strength)
    rows = ((codes[:, None] >> np.arange(strength)) & 1).astype(np.int8)
    for column in range(strength, regions):
        rows = _add_column(rows, column, strength)
    tests: Tests = rows == 1
    tests.flags.writeable = False
    return tests


def _add_column(rows: np.ndarray, column: int, strength: int) -> np.ndarray:
    """Extend a covering array by one region."""
    rows = np.concatenate([rows, np.full((len(rows), 1), _UNASSIGNED, np.int8)], axis=1)
    others = np.array(list(combinations(range(column), strength - 1)), int)
    others = others.reshape(comb(column, strength - 1), strength - 1)
    powers = 2 ** np.arange(strength - 1)
    missing = np.ones((len(others), 2 ** (strength - 1), 2), bool)
    for row in rows:  # horizontal growth
        values = row[others]
        assigned = np.flatnonzero((values != _UNASSIGNED).all(axis=1))
        codes = values[assigned] @ powers
        gains = missing[assigned, codes].sum(axis=0)  # of keeping, of masking
        if gains.any():
            row[column] = int(gains.argmax())
            missing[assigned, codes, row[column]] = False
    for group, code, value in np.argwhere(missing):  # vertical growth
        bits = (code >> np.arange(strength - 1)) & 1
        rows = _place(rows, np.append(others[group], column), np.append(bits, value))
    return rows


def _place(rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rows that hold a combination: as they are, in the first row that fits, or in a new row."""
    present = rows[:, columns]
    fits = ((present == values) | (present == _UNASSIGNED)).all(axis=1)
    if (present == values).all(axis=1).any():
        return rows
    if not fits.any():
        rows = np.concatenate([rows, np.full((1, rows.shape[1]), _UNASSIGNED, np.int8)])
        fits = np.append(fits, True)
    rows[int(fits.argmax()), columns] = values
    return rows
