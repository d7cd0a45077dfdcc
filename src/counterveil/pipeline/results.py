"""What each category said of a file, and how the released frame was veiled for it."""

from __future__ import annotations

from dataclasses import replace

from counterveil.pipeline.components import CategoryClassifier, Components, Settings
from counterveil.pipeline.frames import Frames
from counterveil.pipeline.job import Job
from counterveil.record import CategoryResult, CounterfactualResult


def results(
    frames: Frames, job: Job, methods: Components, settings: Settings
) -> tuple[CategoryResult, ...]:
    """One result a category: the score of its worst frame, the veil of the released one.

    Args:
        frames: of the file, scored.
        job: has veiled the released frame.
        methods: how.
        settings: how far.
    """
    made = []
    for number, watch in enumerate(frames.watches):
        category = watch.category
        score, frame = frames.worst_of(number)
        before = float(frames.scores[frames.worst, number])
        made.append(
            CategoryResult(
                key=category.key,
                score=score,
                threshold=category.threshold,
                flagged=score >= category.threshold,
                counterfactual=_counterfactual(job, watch, before, methods, settings),
                title=category.title,
                classifier=watch.classifier.info.name,
                frame=frame,
            )
        )
    return tuple(made)


def _counterfactual(
    job: Job, watch: CategoryClassifier, before: float, methods: Components, settings: Settings
) -> CounterfactualResult:
    key, threshold = watch.category.key, watch.category.threshold
    after = job.released.scores[key]
    explanation = job.explanations.get(key)
    if explanation is None:
        target = min(threshold, settings.target)
        result = CounterfactualResult.not_needed(before, target=target)
        return replace(result, score_after=after, verified=after < threshold)
    result = CounterfactualResult.of(
        explanation.counterfactual,
        score_after=after,
        verified=after < threshold,
        attribution=explanation.attribution,
        segmentation=methods.segmentation.name,
        search=methods.search.name,
        fill=job.fill.name,
    )
    return replace(
        result,
        outcome="not_found" if job.whole else result.outcome,
        area_fraction=float(job.mask.mean()),
        completed_fraction=job.completed,
        answered_fraction=job.answered,
        score_before=before,
        irreducible=job.irreducible and not job.whole,
        evaluations=explanation.evaluations,
    )
