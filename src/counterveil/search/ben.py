"""BEN: combinatorial testing, and which combinations only ever meet a flip."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float64, Int

from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.search.covering import Tests, covering_array
from counterveil.search.hunt import Chosen, Hunt
from counterveil.search.trial import Goal
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult

_MOST = 250_000
"""Combinations of a strength that are still listed; a finer partition stops at a lower one."""


@dataclass(frozen=True)
class Ben:
    """Identifies the combination of kept and masked regions that makes the decision flip.

    The tests of a t-way covering array veil about half of the regions each. Suspicious are the
    combinations of t regions, kept or masked, that occur in tests that flip and in none that does
    not. The ``top`` most suspicious are tested again, each in the least suspicious surroundings,
    which clears the innocent; again, until their number stays. The rest is reduced: a smaller
    combination is suspicious where no test that does not flip holds it. Smaller ones first, what
    a combination masks is then veiled alone, and the first veil that flips is the answer. Where
    there is none, t grows.

    A test may veil more than ``budget.regions``, since a covering array must; the answer never
    does. A flipping test is no answer by itself, so that BEN explains nothing that takes more
    than ``strength`` regions. ``depth`` is the number of regions veiled. Importance, ``refinement_labels``
    and ``attribution_map`` are not used. Where all is tested already, the original draws other surroundings
    at random; this changes those that matter least, one by one.

    Attributes:
        strength: largest t; it starts at 2.
        top: combinations tested, or veiled, a round.

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

    def __call__(
        self,
        image: Image,
        score: ScoreFunction,
        labels: Labels,
        importance: Float64[np.ndarray, " regions"],
        *,
        fill: Fill,
        goal: Goal,
        budget: Budget,
        refinement_labels: Labels | None = None,
        attribution_map: AttributionMap | None = None,
    ) -> SearchResult:
        """Search."""
        hunt = Hunt(image, score, labels, importance, fill=fill, goal=goal, budget=budget)
        if not hunt.needed:
            return hunt.nothing()
        regions, log = len(importance), _Log(hunt, goal.target)
        alone = _Alone(hunt, goal.target, budget.regions)
        for strength in range(min(2, self.strength, regions), min(self.strength, regions) + 1):
            if comb(regions, strength) * 2**strength > _MOST:
                break
            log.run(covering_array(regions, strength))
            self._narrow(log, strength)
            for size in range(1, strength + 1):
                for chosen in log.suspects(size).ranked(self.top).masked():
                    if alone.flips(chosen):
                        return hunt.found(chosen, depth=int(chosen.sum()))
            if not hunt.left:
                break
        return hunt.lost(alone.best, depth=0 if alone.best is None else int(alone.best.sum()))

    def _narrow(self, log: _Log, strength: int) -> None:
        """Clear innocent combinations, until their number stays or no new test is left."""
        before = -1
        suspects = log.suspects(strength)
        while len(suspects) != before and log.hunt.left:
            before = len(suspects)
            if not log.run(suspects.ranked(self.top).surrounded()):
                return
            suspects = log.suspects(strength)


class _Alone:
    """Veils what a combination masks, and nothing else."""

    def __init__(self, hunt: Hunt, target: float, most: int) -> None:
        self._hunt, self._target, self._most = hunt, target, most
        self._lowest = np.inf
        self.best: Chosen | None = None

    def flips(self, chosen: Chosen) -> bool:
        """Whether the decision flips; also noted as an attempt."""
        if not 0 < chosen.sum() <= self._most:
            return False
        score = self._hunt.known(chosen)
        if score is None:
            scores = self._hunt.score(chosen[None])
            if not len(scores):
                return False
            score = float(scores[0])
        if score < self._lowest:
            self._lowest, self.best = score, chosen
        return score < self._target


class _Log:
    """Every test that was run, and whether it flipped the decision."""

    def __init__(self, hunt: Hunt, target: float) -> None:
        self.hunt, self._target = hunt, target
        self.tests: Tests = np.zeros((1, len(hunt.ranked)), bool)  # the image as it came
        self.flips = np.zeros(1, bool)

    def run(self, tests: Tests) -> int:
        """Run those that were not run yet; how many."""
        seen = {row.tobytes() for row in self.tests}
        unseen = {row.tobytes(): row for row in tests if row.tobytes() not in seen}
        if not unseen:
            return 0
        new = np.stack(list(unseen.values()))
        scores = self.hunt.score(new)
        self.tests = np.concatenate([self.tests, new[: len(scores)]])
        self.flips = np.append(self.flips, scores < self._target)
        return len(scores)

    def suspects(self, size: int) -> _Suspects:
        """Combinations of so many regions that only flipping tests hold."""
        columns = np.array(list(combinations(range(self.tests.shape[1]), size)), int)
        codes = self.tests[:, columns] @ (2 ** np.arange(size))  # (tests, M)
        held = np.zeros((2, len(columns), 2**size), bool)  # by a test that does not, that does
        for row, flips in zip(codes, self.flips, strict=True):
            held[int(flips), np.arange(len(columns)), row] = True
        at, code = np.nonzero(held[1] & ~held[0])
        values = (code[:, None] >> np.arange(size)) & 1
        return _Suspects(self, columns[at], values, codes[:, at] == code)


class _Suspects:
    """Suspicious combinations.

    Args:
        log: the tests.
        columns: the regions of each, ``(S, size)``.
        values: 1 where a region is masked, 0 where it is kept, ``(S, size)``.
        held: whether each test holds each combination, ``(tests, S)``.
        rho: suspiciousness of each region kept and masked, ``(regions, 2)``; worked out from
            these combinations where None.
    """

    def __init__(
        self,
        log: _Log,
        columns: Int[np.ndarray, "s size"],
        values: Int[np.ndarray, "s size"],
        held: Bool[np.ndarray, "tests s"],
        rho: Float64[np.ndarray, "regions 2"] | None = None,
    ) -> None:
        self._log, self._columns, self._values, self._held = log, columns, values, held
        self._rho = self._suspiciousness() if rho is None else rho

    def __len__(self) -> int:
        return len(self._columns)

    def ranked(self, top: int) -> _Suspects:
        """The most suspicious in the least suspicious surroundings; the sum of both ranks."""
        if not len(self):
            return self
        rho, tests = self._rho, self._log.tests.astype(int)
        inner = rho[self._columns, self._values].sum(axis=1)  # (S,)
        whole = rho[np.arange(tests.shape[1]), tests].sum(axis=1)  # (tests,)
        around = np.where(self._held, whole[:, None] - inner, np.inf).min(axis=0)
        # All have as many regions, so that sums rank as means do.
        order = np.argsort(_ranks(-inner) + _ranks(around), kind="stable")[:top]
        parts = self._columns[order], self._values[order], self._held[:, order]
        return _Suspects(self._log, *parts, rho)

    def masked(self) -> Tests:
        """What each masks, ``(S, regions)``."""
        sets = np.zeros((len(self), self._log.tests.shape[1]), bool)
        sets[np.arange(len(self))[:, None], self._columns] = self._values == 1
        return sets

    def surrounded(self) -> Tests:
        """A new test for each, with every other region as it is less suspicious."""
        rho = self._rho
        seen = {row.tobytes() for row in self._log.tests}
        easiest = np.argsort(np.abs(rho[:, 1] - rho[:, 0]), kind="stable")
        tests = []
        for columns, values in zip(self._columns, self._values, strict=True):
            test = rho[:, 1] < rho[:, 0]
            test[columns] = values == 1
            for region in [None, *(r for r in easiest if r not in columns)]:
                other = test.copy()
                if region is not None:
                    other[region] = ~other[region]
                if other.tobytes() not in seen:
                    tests.append(other)
                    seen.add(other.tobytes())
                    break
        return np.array(tests, bool).reshape(-1, len(rho))

    def _suspiciousness(self) -> Float64[np.ndarray, "regions 2"]:
        """Of each region kept and masked: the mean of three shares.

        Of the flipping tests, those that hold it; of the tests that hold it, those that flip; of
        the suspicious combinations, those that hold it.
        """
        tests, flips = self._log.tests, self._log.flips
        values = np.stack([~tests, tests], axis=-1)  # (tests, regions, 2)
        failed, all_ = values[flips].sum(axis=0), values.sum(axis=0)
        inside = np.zeros(failed.shape)
        np.add.at(inside, (self._columns, self._values), 1)
        shares = failed / max(1, flips.sum()) + failed / np.maximum(1, all_)
        rho: Float64[np.ndarray, "regions 2"] = (shares + inside / max(1, len(self))) / 3
        return rho


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(values), int)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks
