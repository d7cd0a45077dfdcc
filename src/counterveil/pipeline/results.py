"""Step 6: what the record says about each category."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from counterveil.config import Config
from counterveil.pipeline.assess import Assessment
from counterveil.pipeline.components import CategoryClassifier, Context
from counterveil.pipeline.veil import VeiledFrame
from counterveil.record import (
    CategoryResult,
    CounterfactualResult,
    Output,
    Outputs,
    Rationale,
    Record,
    Status,
    VeiledOutput,
    utc_now,
)
from counterveil.types import Frame, ModelInfo


def category_results(
    assessment: Assessment, veiled: VeiledFrame, context: Context
) -> tuple[CategoryResult, ...]:
    """One result for each category: the score of its worst view, the veil of the released one."""
    results = []
    for index, each in enumerate(assessment.classifiers):
        category = each.category
        score, frame = assessment.highest_score(index)
        results.append(
            CategoryResult(
                key=category.key,
                score=score,
                threshold=category.threshold,
                flagged=score >= category.threshold,
                counterfactual=_counterfactual(
                    each, float(assessment.frame_scores[index]), veiled, context
                ),
                title=category.title,
                classifier=each.classifier.info.name,
                frame=frame.frame,
                view=frame.view,
            )
        )
    return tuple(results)


def make_record(
    assessment: Assessment,
    veiled: VeiledFrame,
    rationale: Rationale | None,
    context: Context,
    *,
    name: str,
    output_name: str,
    not_assessed: tuple[str, ...],
    models: tuple[ModelInfo, ...],
    timing_ms: dict[str, float],
    warnings: tuple[str, ...],
) -> Record:
    """The record of one examined file.

    Args:
        assessment: scores of the file.
        veiled: what is released.
        rationale: ``None`` without a reasoner, or if it failed.
        context: names of the profile and of the methods.
        name: name of the file.
        output_name: start of the names of the output files.
        not_assessed: sentences on frames, pictures and questions that were not assessed.
        models: the models that were used.
        timing_ms: milliseconds of each step.
        warnings: sentences for the reader.
    """
    release, fill = veiled.release, veiled.fill
    # Not verified outweighs partial: the file may still show what it should hide.
    passed: Status = "partial" if not_assessed else "ok"
    if any(judgement.disputes for said in veiled.judgements.values() for judgement in said):
        passed = "disputed"
    return Record(
        status=passed if release.safe else "not_verified",
        profile=context.config.name,
        source=assessment.source(name),
        output_name=output_name,
        created=utc_now(),
        categories=category_results(assessment, veiled, context),
        rationale=rationale,
        outputs=Outputs(
            VeiledOutput(
                f"{output_name}.veiled.png", release.veiled.sha256, fill.name, fill.reversible_risk
            ),
            Output(f"{output_name}.mask.png", release.mask.sha256),
        ),
        whole_image_veiled=veiled.whole_image,
        models=models,
        timing_ms=timing_ms,
        warnings=warnings,
        not_assessed=not_assessed,
        not_covered=context.config.not_covered,
        settings=settings(context.config),
    )


def settings(config: Config) -> dict[str, Any]:
    """All options, as a record keeps them; the categories stand in the record anyway."""
    return config.model_dump(mode="json", exclude={"name", "notice", "not_covered", "categories"})


def frame_warnings(assessment: Assessment) -> list[str]:
    """Sentences on what is not released, and on categories that flagged one of these frames."""
    released = assessment.frame
    warnings = []
    if released.frames > 1:
        warnings.append(
            f"the file holds {released.frames} frames, counted from 0; "
            f"{len(assessment.frames_assessed)} were assessed, and only frame {released.frame}, "
            "which scored worst, is released"
        )
    for index, each in enumerate(assessment.classifiers):
        score, frame = assessment.highest_score(index)
        if score >= each.category.threshold and frame is not released:
            warnings.append(f"{each.category.key} flagged {_not_released(frame, score)}")
    return warnings


def threshold_warnings(assessment: Assessment) -> list[str]:
    """Sentences on categories that come close to their threshold."""
    warnings = []
    for index, each in enumerate(assessment.classifiers):
        category, (score, _) = each.category, assessment.highest_score(index)
        if category.warn_threshold and category.warn_threshold <= score < category.threshold:
            warnings.append(
                f"{category.key} scores {score:.3f}: not flagged, but between "
                f"{category.warn_threshold:g} and {category.threshold:g} a person should look"
            )
    return warnings


def margin_warnings(assessment: Assessment, veiled: VeiledFrame, margin: float) -> list[str]:
    """Sentences on veils whose written file is below the threshold, but not by the margin.

    None on the boxes of a detector: all that it is sure of are veiled, and no larger veil helps.
    """
    if veiled.whole_image:  # nothing is left to veil
        return []
    warnings = []
    for category in (each.category for each in assessment.flagged):
        score, target = veiled.release.scores[category.key], category.target(margin)
        explanation = veiled.explanations.get(category.key)
        localized = explanation is not None and explanation.localized
        if target <= score < category.threshold and not localized:
            warnings.append(
                f"{category.key} scores {score:.3f} under the veil: below the threshold, "
                f"{category.threshold:g}, but not below {target:g}, as the margin of {margin:g} "
                "asks"
            )
    return warnings


def _not_released(frame: Frame, score: float) -> str:
    if not frame.released:
        return f"the {frame.view} at {score:.3f}; it is not in the released file"
    what = f"frame {frame.frame}" if frame.frames > 1 else "the image"
    if frame.view:
        return f"{what} in the view “{frame.view}” at {score:.3f}; that view is not released"
    return f"{what} at {score:.3f}; that frame is not released"


def _counterfactual(
    each: CategoryClassifier,
    score_before: float,
    veiled: VeiledFrame,
    context: Context,
) -> CounterfactualResult:
    key, threshold = each.category.key, each.category.threshold
    score_after = veiled.release.scores[key]
    explanation = veiled.explanations.get(key)
    if explanation is None:
        target = each.category.target(context.config.margin)
        result = CounterfactualResult.not_needed(score_before, target=target)
        return replace(result, score_after=score_after, verified=score_after < threshold)
    found = explanation.result
    return CounterfactualResult(
        # Veiling everything is no counterfactual, whatever the search found before.
        outcome="not_found" if veiled.whole_image else found.outcome,
        score_before=score_before,
        score_after=score_after,
        target=float(found.target),
        depth=int(found.depth),
        regions_total=int(found.regions_total),
        regions_veiled=len(found.regions),
        area_fraction=float(veiled.mask.mean()),
        completed_fraction=veiled.completed_fraction,
        answered_fraction=veiled.answered_fraction,
        judged_fraction=veiled.judged_fraction,
        judgements=veiled.judgements.get(key, ()),
        verified=score_after < threshold,
        irreducible=veiled.irreducible,
        evaluations=explanation.evaluations,
        attribution=explanation.attribution,
        segmentation=explanation.segmentation,
        search=context.components.search.name,
        fill=veiled.fill.name,
    )
