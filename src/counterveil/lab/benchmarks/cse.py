"""Counterfactuals on flagged images, one by one, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from counterveil import search
from counterveil.images import decode_clean, encode_png, load
from counterveil.lab.benchmarks.interval import estimate, ratio
from counterveil.lab.benchmarks.methods import Method
from counterveil.lab.benchmarks.optimum import Optimum
from counterveil.lab.benchmarks.overlap import overlap
from counterveil.lab.benchmarks.subjects import Case, flagged
from counterveil.lab.benchmarks.traced import trace
from counterveil.pipeline import CategoryClassifier, Components, Named, Pipeline
from counterveil.pipeline.explain import Explainer, Explanation
from counterveil.pipeline.job import Job
from counterveil.pipeline.timing import Stopwatch
from counterveil.types import Mask

__all__ = ["EDGES", "Case", "Measure", "beside", "explain", "flagged", "release", "summary"]

Measured = dict[str, Any]
"""Figures of one image; ``None`` where there is none to tell. ``reached`` is what
:class:`counterveil.lab.benchmarks.traced.Traced` keeps, and no figure."""

Measure = Callable[[Case], Measured]
EDGES = ("top", "bottom", "left", "right")

_OVERLAPS = ("coverage", "precision", "iou", "area_ratio")
_OF_ALL = ("found", "verified", "evaluations", "milliseconds", "regions")
"""Told of every image; the others only of those for which a counterfactual was found."""


def explain(
    method: Method, watch: CategoryClassifier, optimum: Optimum | None
) -> Callable[[Case], Measured]:
    """How one row of a table is measured on one image.

    Args:
        method: the row.
        watch: whose decision is to be flipped.
        optimum: what the veiled area is compared with, if with anything.
    """
    parts = method.parts(watch.classifier)
    warm = False

    def measure(case: Case) -> Measured:
        nonlocal warm
        if not warm:  # what is compiled or loaded once is no image's time
            _warm_up(case, parts, method, watch)
            warm = True
        start = time.perf_counter()
        traced = trace(watch.classifier, watch.category.threshold)
        watched = replace(watch, classifier=traced)
        if method.objects:
            explanation = _released(case, parts, method, watched)
            explanation = replace(explanation, evaluations=traced.images)
            # Nothing that is seen on the way is released.
            traced.reached = [(traced.images, explanation.counterfactual.area_fraction)]
        else:
            explainer = Explainer(case.image, parts, method.settings, Stopwatch())
            explanation = explainer.explain(watched)
        spent = (time.perf_counter() - start) * 1000
        gap = None
        if optimum is not None and not method.objects:
            gap = _gap(explanation, case, method, watch, optimum)
        told = {"gap": gap, "milliseconds": spent, "reached": traced.reached}
        return _figures(explanation, case) | told

    return measure


def _warm_up(case: Case, parts: Components, method: Method, watch: CategoryClassifier) -> None:
    cheap = replace(parts, search=Named("greedy", search.make("greedy")))
    settings = replace(method.settings, max_regions=1, max_evaluations=2)
    Explainer(case.image, cheap, settings, Stopwatch()).explain(watch)


def _released(
    case: Case, parts: Components, method: Method, watch: CategoryClassifier
) -> Explanation:
    """What the pipeline explains, with the veil that it releases; not found where that is all."""
    photo = load(encode_png(case.image))[0]
    job = Job(photo, [watch], [watch], parts, method.settings, Stopwatch())
    job.run()
    found = job.explanations[watch.category.key]
    result = replace(found.counterfactual, mask=job.mask)
    result = replace(result, outcome="not_found") if job.whole else result
    return replace(found, counterfactual=result)


def _figures(explanation: Explanation, case: Case) -> Measured:
    result = explanation.counterfactual
    return {
        "found": float(result.outcome == "found"),
        "depth": float(result.depth),
        "obfuscation": result.area_fraction,
        **({} if case.truth is None else _overlaps(result.mask, case.truth)),
        "regions": float(result.regions_total),
        "irreducible": float(result.irreducible),
        "evaluations": float(explanation.evaluations),
    }


def _overlaps(veil: Mask, truth: Mask) -> Measured:
    found = overlap(veil, truth)
    return {name: getattr(found, name) for name in _OVERLAPS}


def _gap(
    explanation: Explanation,
    case: Case,
    method: Method,
    watch: CategoryClassifier,
    optimum: Optimum,
) -> float | None:
    """How much more is veiled than need be, as a share of what need be."""
    target = min(method.target, watch.category.threshold)
    result = explanation.counterfactual
    if result.outcome != "found" or result.score_after >= target:
        return None
    least = optimum.area(watch.classifier, case.image, explanation.labels, method.fill, target)
    return None if least is None else result.area_fraction / least - 1


def release(counterveil: Pipeline, watch: CategoryClassifier) -> Callable[[Case], Measured]:
    """How the whole default pipeline is measured on one image, by the file that it releases."""
    key = watch.category.key

    def measure(case: Case) -> Measured:
        examination = counterveil.examine(encode_png(case.image), name=f"{case.index}.png")
        assert examination.veiled is not None and examination.mask is not None, examination.record
        assert case.truth is not None, "released files are measured on scenes"
        category = next(c for c in examination.record.categories if c.key == key)
        score = float(watch.classifier.score(decode_clean(examination.veiled)[None])[0])
        result, mask = category.counterfactual, _mask(examination.mask)
        return {
            "found": float(result.outcome == "found"),
            "verified": float(score < category.threshold and result.verified),
            "obfuscation": float(mask.mean()),
            **_overlaps(mask, case.truth),
            "irreducible": float(result.irreducible),
            "evaluations": float(result.evaluations),
        }

    return measure


def summary(cases: Sequence[Measured], *, every: bool = False) -> dict[str, Any]:
    """Means with intervals, and how many images they are of.

    Args:
        cases: figures of each image, all of the same names.
        every: tell everything of every image, found or not.
    """
    row: dict[str, Any] = {"images": len(cases)}
    names = [name for name in cases[0] if name != "reached"] if cases else []
    for name in names:
        told = [c for c in cases if every or name in _OF_ALL or c["found"]]
        values = [value for c in told if (value := c[name]) is not None]
        row[name] = estimate(values).to_dict()
        if name == "area_ratio":
            row["mean_ratio"] = _mean_ratio(told)
    return row


def beside(ours: Sequence[Measured], rival: Sequence[Measured]) -> dict[str, Any]:
    """One row beside another on the same images, pair by pair.

    Args:
        ours: figures of each image.
        rival: figures of the same images in the same order.

    Returns:
        ``found_more``, ``coverage_more``: ours less the rival's, as shares; ``area``: our mean
        veiled area over the rival's; ``forwards_ratio``: likewise; ``soon``: forwards until ours
        had a flip that veils no more than the rival's last, all of them where it never had, over
        the rival's. Area, coverage and ``soon`` are of images for which both found a
        counterfactual.
    """
    pairs = list(zip(ours, rival, strict=True))
    both = [(a, b) for a, b in pairs if a["found"] and b["found"]]
    row: dict[str, Any] = {"images": len(pairs), "found_more": _more(pairs, "found")}
    row["area"] = _over(both, "obfuscation")
    if any("coverage" in a for a, _ in pairs):
        row["coverage_more"] = _more(both, "coverage")
    row["forwards_ratio"] = _over(pairs, "evaluations")
    if all("reached" in a for a, _ in both):
        soon = [_until(a, b["obfuscation"]) for a, b in both]
        row["soon"] = ratio(soon, [b["evaluations"] for _, b in both]).to_dict()
    return row


def _until(ours: Measured, area: float) -> float:
    """Forwards until a flip veiled no more than an area; all where none did."""
    close = area * (1 + 1e-9)  # areas of the same veil, worked out twice
    evaluations = (float(count) for count, veiled in ours["reached"] if veiled <= close)
    return next(evaluations, float(ours["evaluations"]))


def _more(pairs: Sequence[tuple[Measured, Measured]], name: str) -> dict[str, float | None]:
    return estimate([ours - theirs for ours, theirs in _known(pairs, name)]).to_dict()


def _over(pairs: Sequence[tuple[Measured, Measured]], name: str) -> dict[str, float | None]:
    known = _known(pairs, name)
    return ratio([ours for ours, _ in known], [theirs for _, theirs in known]).to_dict()


def _known(pairs: Sequence[tuple[Measured, Measured]], name: str) -> list[tuple[float, float]]:
    return [(x, y) for a, b in pairs if (x := a[name]) is not None and (y := b[name]) is not None]


def _mean_ratio(cases: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Mean veiled area over mean true area: what small objects do not weigh more in."""
    known = [(c["obfuscation"], c["area_ratio"]) for c in cases]
    areas = [(veiled, veiled / over) for veiled, over in known if veiled and over]
    return ratio([veiled for veiled, _ in areas], [true for _, true in areas]).to_dict()


def _mask(data: bytes) -> Mask:
    mask: Mask = load(data)[0].pixels[..., 0] > 127
    return mask
