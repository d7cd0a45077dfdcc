"""Our implementations of rival searches compared with their authors' code, from clones of it.

Run: python benchmarks/rivals_vs_authors.py [--sedc CLONE] [--csra CLONE] [--reference CLONE]
The clones are of ADMAntwerp/ImageCounterfactualExplanations, SecureAIAutonomyLab/uGuard and
BrandonWherry/ConditionalVLM on GitHub. Each case is an image of sixteen regions and a random rule
for the score under each mask, in which regions help, hinder and depend on each other. Both searches
agree if outcome, mask and number of images scored are the same. Prints lines of JSON.
BEN is missing: its authors published a tool, not this search.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageFilter
from torch.nn import functional

from authors import commit, functions
from counterveil import search
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from counterveil.fills import fill
from counterveil.types import Images, Scores
from measuring import machine, print_result

GRID = 4
REGIONS = GRID * GRID
MEAN, STD = (np.array(one, np.float32)[:, None, None] for one in (IMAGENET_MEAN, IMAGENET_STD))
MAX_SCORED = 3000
"""Limit of images scored; it stops a search that does not end."""


class EndlessError(Exception):
    """More images were scored than the limit."""


@dataclass
class Case:
    """An image of sixteen regions, and a rule for its scores.

    A region counts as veiled if its centre pixel changed: the codes differ in how they fill a
    region and in what they change at its border.
    """

    seed: int
    side: int
    scored: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        row = np.arange(self.side) * GRID // self.side
        self.labels = (row[:, None] * GRID + row[None]).astype(np.int32)
        self.image = rng.integers(64, 200, (self.side, self.side, 3)).astype(np.uint8)
        self.importance = rng.permutation(REGIONS) / REGIONS + 0.1
        self.attribution_map = self.importance[self.labels].astype(np.float32)
        self.bias = rng.uniform(0.5, 3.5)
        self.alone = rng.exponential(0.6, REGIONS) * rng.choice([1, 1, 1, -0.5], REGIONS)
        self.together = np.triu(rng.normal(0, 0.4, (REGIONS, REGIONS)), 1)
        middles = (np.arange(GRID) * 2 + 1) * self.side // (2 * GRID)
        self._at = np.repeat(middles, GRID), np.tile(middles, GRID)

    @property
    def normalised(self) -> torch.Tensor:
        """The image as input of the authors' networks, ``(1, 3, side, side)``."""
        pixels = self.image.transpose(2, 0, 1).astype(np.float32) / 255
        return torch.from_numpy((pixels - MEAN) / STD)[None]

    def veiled(self, images: np.ndarray, unveiled: np.ndarray) -> np.ndarray:
        """Veiled regions ``(B, regions)`` of images with channels last."""
        there = images[:, self._at[0], self._at[1]] - unveiled[self._at].astype(np.float64)
        found: np.ndarray = np.abs(there).max(axis=-1) > 1e-3
        return found

    def p(self, veiled: np.ndarray) -> np.ndarray:
        """P(unsafe) of sets of veiled regions ``(B, regions)``."""
        self.scored += len(veiled)
        chosen = veiled.astype(np.float64)
        drop = chosen @ self.alone + np.einsum("bi,ij,bj->b", chosen, self.together, chosen)
        p: np.ndarray = 1 / (1 + np.exp(drop - self.bias))
        return p

    def score(self, images: Images) -> Scores:
        """P(unsafe) of images, for our searches."""
        return self.p(self.veiled(images.astype(np.float64), self.image))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images ``(B, 3, side, side)``, for the authors' code."""
        last = [one.double().numpy().transpose(0, 2, 3, 1) for one in (images, self.normalised)]
        p = self.p(self.veiled(last[0], last[1][0]))
        return torch.from_numpy(np.log(np.stack([p, 1 - p], axis=1)))

    def parameters(self) -> Iterator[Any]:
        """A parameter that claims to be on a GPU; the authors' search requires it."""
        yield SimpleNamespace(is_cuda=True)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Like keras: class probabilities ``(B, 2)`` of images."""
        if self.scored >= MAX_SCORED:
            raise EndlessError
        p = self.p(self.veiled(images, self.image))
        return np.stack([p, 1 - p], axis=1)


@dataclass(frozen=True)
class Answer:
    """Result of a search."""

    found: bool
    veil: frozenset[int]
    scored: int


Theirs = Callable[[Case], Answer]


def sedc(clone: Path, name: str) -> Theirs:
    """SEDC and its targeted variants; class 1, safe, is the target."""
    sys.modules.setdefault("cv2", ModuleType("cv2"))  # imported, and used for other fills only
    theirs = functions(clone / "isedc" / f"{name}.py", [name], {})[name]
    target = () if name == "sedc" else (1,)

    def call(case: Case) -> Answer:
        try:
            veil = theirs(case.image.astype(np.float64), case, case.labels, *target, "mean")[1]
        except EndlessError:
            return Answer(False, frozenset(), case.scored)
        return Answer(True, frozenset(map(int, veil)), case.scored)

    return call


def csra(clone: Path, regions: int) -> Theirs:
    """uGuard's search, from its ranked regions on; map and SLIC come from libraries there, too."""
    normalise = import_torchvision().transforms.Normalize
    back = normalise(mean=(-MEAN / STD).ravel().tolist(), std=(1 / STD).ravel().tolist())
    given = {"np": np, "torch": torch, "F": functional, "itemgetter": itemgetter}
    given |= {"device": "cpu", "invTrans": back, "more_itertools": ITERTOOLS}
    given |= {"good_img_transform": normalise(IMAGENET_MEAN, IMAGENET_STD)}
    names = ["attribution_ranker", "get_feature_masks", "blur_image_from_attribution"]
    names += ["SMU_cost_function", "get_image_versions", "image_rankings"]
    file = clone / "auxiliary_models" / "cyberbullying-pytorch" / "src" / "CSRA_cb.py"
    theirs = functions(file, names, given)

    def call(case: Case) -> Answer:
        ranked = theirs["attribution_ranker"](list(enumerate(case.importance)), regions)
        masks = theirs["get_feature_masks"](None, ranked, case.labels)
        versions = theirs["get_image_versions"](case.normalised, masks, case, 0)
        scored = case.scored
        best = theirs["image_rankings"](versions)[0]
        veil = frozenset(np.unique(case.labels[best[4] > 0]).tolist())
        chosen = np.isin(np.arange(REGIONS), list(veil))[None]
        return Answer(bool(case.p(chosen)[0] < 0.5), veil, scored)

    return call


def reference(clone: Path, deepest: int) -> Theirs:
    """The code published with the paper, with the attribution map of each case."""
    given = {"np": np, "torch": torch, "F": functional, "itemgetter": itemgetter}
    given |= {"Image": Pillow, "ImageFilter": ImageFilter, "perf_counter": perf_counter}
    given |= {"device": "cpu", "more_itertools": ITERTOOLS}
    names = ["cam_processor_for_segments", "get_feature_masks", "attribution_ranker", "softmax"]
    names += ["blur_image_from_attribution", "segmentation_info", "region_explainability"]
    file = clone / "CSE" / "src" / "cse" / "re_alogirthms_unsafe.py"
    theirs = functions(file, names, given)
    whole = theirs["region_explainability"]

    def call(case: Case) -> Answer:
        whole.__globals__["get_grayscale_grad_cam"] = lambda *_: case.attribution_map
        with redirect_stdout(io.StringIO()):
            result = whole(case.normalised, case.labels, 1, case, 0, 0.5, deepest)
        if result == -1:
            return Answer(False, frozenset(), case.scored)
        last = [one.double().numpy().transpose(0, 2, 3, 1) for one in (result[0], case.normalised)]
        veil = np.flatnonzero(case.veiled(last[0], last[1][0])[0])
        return Answer(True, frozenset(veil.tolist()), case.scored)

    return call


def _powerset(items: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    kept = list(items)
    sizes = range(len(kept) + 1)
    return itertools.chain.from_iterable(itertools.combinations(kept, n) for n in sizes)


ITERTOOLS = SimpleNamespace(powerset=_powerset)
"""The part of ``more_itertools`` that the authors use."""


def ours(name: str, case: Case, max_regions: int, max_evaluations: int, **options: Any) -> Answer:
    problem = search.SearchProblem(case.labels, case.importance, max_regions=max_regions)
    evaluator = search.MaskEvaluator(
        case.image, case.score, fill("black"), max_evaluations=max_evaluations
    )
    found = search.make(name, **options)(problem, evaluator)
    return Answer(found.outcome == "found", frozenset(found.regions), found.evaluations)


def compare(
    what: str, source: str, theirs: Theirs, own: Callable[[Case], Answer], cases: int, side: int
) -> dict[str, Any]:
    """How often both agree; masks are compared only if both found a flip."""
    pairs = [(theirs(Case(seed, side)), own(Case(seed, side))) for seed in range(cases)]
    known = [(a, b) for a, b in pairs if a.found and b.found]
    figures = {
        "search": what,
        "source": source,
        "cases": cases,
        "found": sum(a.found for a, _ in pairs),
        "same_outcome": sum(a.found == b.found for a, b in pairs),
        "same_veil": sum(a.veil == b.veil for a, b in known),
        "same_scored": sum(a.scored == b.scored for a, b in pairs),
        "sizes": sorted({len(a.veil) for a, _ in known}),
        "scored": [min(a.scored for a, _ in pairs), max(a.scored for a, _ in pairs)],
    }
    print_result("rivals_vs_authors", **figures, **machine("numpy", "torch"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sedc", type=Path, help="clone of ImageCounterfactualExplanations")
    parser.add_argument("--csra", type=Path, help="clone of uGuard")
    parser.add_argument("--reference", type=Path, help="clone of ConditionalVLM")
    parser.add_argument("--cases", type=int, default=60)
    arguments = parser.parse_args()
    if not (arguments.sedc or arguments.csra or arguments.reference):
        parser.error("name a clone: --sedc, --csra or --reference")
    if arguments.sedc:
        source = _source("ADMAntwerp/ImageCounterfactualExplanations", arguments.sedc)
        for name, title in {"sedc": "SEDC", "sedc_t": "SEDC-T", "sedc_t2": "SEDC-T2"}.items():
            theirs = sedc(arguments.sedc, name)
            own = partial(ours, "sedc", max_regions=REGIONS, max_evaluations=MAX_SCORED)
            compare(title, source, theirs, own, arguments.cases, 224)
    if arguments.csra:
        source, count = _source("SecureAIAutonomyLab/uGuard", arguments.csra), 6
        most = 1 << count
        own = partial(ours, "csra", max_regions=count, max_evaluations=most, regions=count)
        title = f"CSRA, of {count} regions"
        compare(title, source, csra(arguments.csra, count), own, arguments.cases, 299)
    if arguments.reference:
        source, deepest = _source("BrandonWherry/ConditionalVLM", arguments.reference), 6
        most = 1 << deepest
        own = partial(ours, "reference", max_regions=deepest, max_evaluations=most, dilation=1)
        title = f"published code, to depth {deepest}"
        theirs = reference(arguments.reference, deepest)
        compare(title, source, theirs, own, arguments.cases, 224)


def _source(name: str, clone: Path) -> str:
    at = commit(clone)
    return f"{name}, {at}" if at else name


if __name__ == "__main__":
    main()
