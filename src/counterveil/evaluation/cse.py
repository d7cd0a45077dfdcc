"""Counterfactuals on flagged scenes, against their ground truth (the paper's Tables 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from counterveil import profiles
from counterveil.evaluation.interval import estimate
from counterveil.evaluation.overlap import overlap
from counterveil.images import decode_clean, encode_png, load
from counterveil.pipeline import Counterveil, Watch
from counterveil.pipeline.explain import Explainer, Explanation
from counterveil.pipeline.timing import Stopwatch
from counterveil.scenes import draw_scene
from counterveil.types import Image, Mask

Step = Callable[[], None]
EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, eq=False)
class Case:
    """A scene that its classifier flags, and where the unsafe objects are."""

    image: Image
    truth: Mask
    index: int


@dataclass(frozen=True)
class Method:
    """One row of the table: a profile with its search's goal."""

    name: str
    profile: profiles.Profile
    finer: bool


def flagged(
    watch: Watch, *, count: int, seed: int, edge: str | None = None, split: str = "test"
) -> Iterator[Case]:
    """Unsafe scenes of a category that its classifier flags, until there are ``count``."""
    key, found, index = watch.category.key, 0, 0
    while found < count:
        scene = draw_scene(seed, index, split=split, category=key, kind="unsafe", edge=edge)
        if watch.classifier.score(scene.pixels[None])[0] >= watch.category.threshold:
            yield Case(scene.pixels, scene.mask(key), index)
            found += 1
        index += 1
        if index > 20 * count + 100:
            raise RuntimeError(f"{key}: the classifier flags too few scenes to measure on")


def rows() -> tuple[Method, ...]:
    """The paper's settings, the same with our search, and the defaults."""
    base = profiles.PROFILES["proxy"]
    paper = replace(base, search="greedy", settings=replace(base.settings, target=0.5))
    return (
        Method("paper (BASS + FullGrad + greedy)", paper, finer=False),
        Method("the same, minimal", replace(paper, search="minimal"), finer=False),
    )


def explain_all(
    method: Method, watch: Watch, cases: Sequence[Case], step: Step
) -> dict[str, object]:
    """Run one method on the cases of one category."""
    parts = profiles.methods(method.profile)
    if not method.finer:
        parts = replace(parts, finer=None)
    results = []
    for case in cases:
        explainer = Explainer(case.image, parts, method.profile.settings, Stopwatch())
        results.append((case, explainer.explain(watch)))
        step()
    return _summary(results)


def _summary(results: Sequence[tuple[Case, Explanation]]) -> dict[str, object]:
    found = [(c, e) for c, e in results if e.counterfactual.outcome == "found"]
    overlaps = [overlap(e.counterfactual.mask, case.truth) for case, e in found]
    counted = [e.counterfactual for _, e in found]
    return {
        "found": estimate([float(e.counterfactual.outcome == "found") for _, e in results]),
        "depth": estimate([c.depth for c in counted]),
        "obfuscation": estimate([o.area for o in overlaps]),
        "coverage": estimate([o.coverage for o in overlaps]),
        "precision": estimate([o.precision for o in overlaps]),
        "area_ratio": estimate([o.area_ratio for o in overlaps]),
        "irreducible": estimate([float(c.irreducible) for c in counted]),
        "forwards": estimate([e.forwards for _, e in results]),
        "regions": estimate([e.counterfactual.regions_total for _, e in results]),
    }


def release_all(
    counterveil: Counterveil, watch: Watch, cases: Sequence[Case], step: Step
) -> dict[str, object]:
    """Run the whole default pipeline, and measure the files it releases."""
    overlaps, verified, found, irreducible, forwards = [], [], [], [], []
    key = watch.category.key
    for case in cases:
        examination = counterveil.examine(encode_png(case.image), name=f"{case.index}.png")
        assert examination.veiled is not None and examination.mask is not None, examination.record
        category = next(c for c in examination.record.categories if c.key == key)
        released = decode_clean(examination.veiled)
        score = float(watch.classifier.score(released[None])[0])
        result = category.counterfactual
        verified.append(float(score < category.threshold and result.verified))
        found.append(float(result.outcome == "found"))
        irreducible.append(float(result.irreducible))
        forwards.append(result.forwards)
        overlaps.append(overlap(_mask(examination.mask), case.truth))
        step()
    return {
        "found": estimate(found),
        "verified": estimate(verified),
        "coverage": estimate([o.coverage for o in overlaps]),
        "precision": estimate([o.precision for o in overlaps]),
        "area_ratio": estimate([o.area_ratio for o in overlaps]),
        "obfuscation": estimate([o.area for o in overlaps]),
        "irreducible": estimate(irreducible),
        "forwards": estimate(forwards),
    }


def _mask(data: bytes) -> Mask:
    mask: Mask = load(data)[0].pixels[..., 0] > 127
    return mask


__all__ = ["EDGES", "Case", "Method", "explain_all", "flagged", "release_all", "rows"]
