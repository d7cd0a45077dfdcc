"""The bench ``attribution``: how well each map tells where a scene is unsafe, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

import counterveil
from counterveil import attribution, profiles, segmentation
from counterveil.lab.benchmarks.erasure import STEPS, deletion, hottest_first, insertion
from counterveil.lab.benchmarks.interval import estimate
from counterveil.lab.benchmarks.pointing import energy, pointing
from counterveil.lab.benchmarks.resume import Saved
from counterveil.lab.benchmarks.road import SHARES, road
from counterveil.lab.benchmarks.subjects import Case, Scenes, weights
from counterveil.pipeline import CategoryClassifier
from counterveil.types import AttributionMap

SEED = 2026
"""Of the scenes measured on; none of them was trained on, whatever the seed (split ``test``)."""
NAMES = tuple(attribution.ATTRIBUTIONS)
NOISE = "noise"
"""A map of random numbers, measured like the others: what chance scores."""
CHUNK = 5
"""Scenes measured between two savings."""

Map = Callable[[CategoryClassifier, Case], AttributionMap]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        scenes: a category.
        steps: of insertion and deletion.
        road: of the scenes, those measured by ROAD, whose imputations take a second each.
        shares: of the pixels, removed by ROAD.
    """

    scenes: int
    steps: int = STEPS
    road: int = 6
    shares: tuple[float, ...] = SHARES


FULL = Size(scenes=8, steps=14, road=4)
QUICK = Size(scenes=2, steps=8, road=1, shares=(0.2, 0.6))


def heading(size: Size) -> dict[str, Any]:
    """What tells one measurement from another, as plain data."""
    about = {"version": counterveil.__version__, "seed": SEED, "size": asdict(size)}
    return {**about, "weights": weights()}


def steps(size: Size) -> int:
    """How often ``step`` will be called."""
    return 3 * size.scenes * (len(NAMES) + 1)


def run(
    size: Size, *, device: str, step: Callable[[], None], saved: Saved | None = None
) -> dict[str, Any]:
    """Measure; the result is plain data, every estimate with its 95 % interval.

    Args:
        size: how much.
        device: where the models run.
        step: called after each map.
        saved: what was measured before, and where more of it goes.
    """
    memory = Saved(None, {}, resume=False) if saved is None else saved
    watches = profiles.from_profile("proxy", device=device).watches
    scenes = Scenes(SEED)
    rows: dict[str, dict[str, Any]] = {}
    for name, draw in _maps().items():
        figures = {
            watch.category.key: _category(name, draw, watch, scenes, size, memory, step)
            for watch in watches
        }
        every = [one for some in figures.values() for one in some]
        rows[name] = {key: summary(some) for key, some in {**figures, "all": every}.items()}
    return {"attributions": rows, "measured": heading(size)}


def measure(
    attribution_map: AttributionMap,
    watch: CategoryClassifier,
    case: Case,
    *,
    size: Size,
    by_road: bool,
) -> dict[str, float | None]:
    """Figures of one map; ROAD's are ``None`` where it is not asked for."""
    assert case.truth is not None, "maps are measured on scenes"
    score, rng = watch.classifier.score, np.random.default_rng((SEED, case.index))
    order = hottest_first(attribution_map, rng)
    figures: dict[str, float | None] = {
        "pointing": pointing(attribution_map, case.truth),
        "energy": energy(attribution_map, case.truth),
        "deletion": deletion(case.image, score, order, steps=size.steps),
        "insertion": insertion(case.image, score, order, steps=size.steps),
    }
    found = road(case.image, score, order, rng=rng, shares=size.shares) if by_road else None
    return figures | {
        "morf": None if found is None else found.morf,
        "lerf": None if found is None else found.lerf,
        "road": None if found is None else found.combined,
    }


def summary(cases: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """Means with intervals, and how many scenes they are of."""
    columns = {
        name: estimate([value for case in cases if (value := case[name]) is not None]).to_dict()
        for name in cases[0]
    }
    return {"images": len(cases), **columns}


def _category(
    name: str,
    draw: Map,
    watch: CategoryClassifier,
    scenes: Scenes,
    size: Size,
    saved: Saved,
    step: Callable[[], None],
) -> list[Any]:
    """Figures of each scene of a category, a chunk at a time."""
    figures: list[Any] = []
    for start in range(0, size.scenes, CHUNK):
        numbers = range(start, min(start + CHUNK, size.scenes))
        part = f"{name}, {watch.category.key}, {numbers.start} to {numbers.stop}"
        known = part in saved
        figures += saved.once(part, partial(_chunk, draw, watch, scenes, size, numbers, step))
        for _ in numbers if known else ():
            step()
    return figures


def _chunk(
    draw: Map,
    watch: CategoryClassifier,
    scenes: Scenes,
    size: Size,
    numbers: range,
    step: Callable[[], None],
) -> list[Any]:
    figures = []
    for number in numbers:
        case = scenes.cases(watch, size.scenes)[number]
        attribution_map = draw(watch, case)
        figures.append(measure(attribution_map, watch, case, size=size, by_road=number < size.road))
        step()
    return figures


def _maps() -> dict[str, Map]:
    return {**{name: _drawn_by(name) for name in NAMES}, NOISE: _noise}


def _drawn_by(name: str) -> Map:
    method, partition = attribution.make(name), segmentation.make("bass")

    def draw(watch: CategoryClassifier, case: Case) -> AttributionMap:
        labels = partition(case.image) if method.needs_regions else None
        return method(watch.classifier, case.image, labels=labels)

    return draw


def _noise(watch: CategoryClassifier, case: Case) -> AttributionMap:
    attribution_map: AttributionMap = np.random.default_rng(case.index).random(
        case.image.shape[:2], np.float32
    )
    return attribution_map
