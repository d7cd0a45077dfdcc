"""Sentences on models that disagree: classifier and reasoner, classifier and judge."""

from __future__ import annotations

from collections.abc import Sequence

from counterveil.narrative.phrases import (
    category_title,
    join_list,
    percent,
    pluralize,
    public_model_name,
)
from counterveil.record import Answer, CategoryResult, Disagreement, Source


def disagreement_sentences(
    categories: Sequence[CategoryResult],
    answers: Sequence[Answer],
    disagreements: Sequence[Disagreement],
) -> list[str]:
    """For a moderator: each disagreement, and which flagged categories have no answer at all."""
    by_key = {category.key: category for category in categories}
    texts = [_disagreement(by_key[each.category], each, answers) for each in disagreements]
    if texts:
        texts.append("A person should check the image.")
    unasked = [
        category for category in categories if category.flagged and _missed(category, answers)
    ]
    if unasked:
        titles = join_list([category_title(category) for category in unasked])
        texts.append(
            f"The model answered no question on {titles}: this neither confirms nor denies what "
            "the classifiers flagged."
        )
    return texts


def confirmation_sentences(
    flagged: Sequence[CategoryResult],
    answers: Sequence[Answer],
    disagreements: Sequence[Disagreement],
    source: Source | None,
) -> list[str]:
    """For the person who posted the image: which grounds the reasoner did not confirm.

    Args:
        flagged: the grounds of the decision.
        answers: to the moderator's questions; all are about the released frame.
        disagreements: between classifiers and reasoner.
        source: the file; needed to name frames where it holds several.
    """
    texts = []
    keys = {each.category for each in disagreements if each.flagged}
    denied = [category for category in flagged if category.key in keys]
    if denied:
        all_of_it = "this" if len(denied) == len(flagged) else "all of this"
        parts = join_list([_no_to(c, answers, category_title(c)) for c in denied])
        texts.append(
            f"The software that describes images did not confirm {all_of_it}: it answered no "
            f"{parts}."
        )
    unasked = [category for category in flagged if _missed(category, answers)]
    if unasked:
        titles = join_list([category_title(category) for category in unasked])
        texts.append(f"The software that describes images could not be asked about {titles}.")
    # It saw the released frame alone; a no about that frame denies nothing of another frame, or of
    # another view of the same frame.
    unseen = [
        category
        for category in flagged
        if category.counterfactual.score_before < category.threshold
        and (own := _assessed(category, answers))
        and not any(answer.yes for answer in own)
    ]
    return texts + [_unseen(category, source) for category in unseen]


def _unseen(category: CategoryResult, source: Source | None) -> str:
    title, seen, where = category_title(category), "another view of the image", ""
    if source is not None and source.frame != category.frame:
        seen, where = f"only frame {source.frame}", f" in frame {category.frame}"
    return f"The software that describes images saw {seen}, so it could not confirm {title}{where}."


def _disagreement(
    category: CategoryResult, disagreement: Disagreement, answers: Sequence[Answer]
) -> str:
    score = percent(category.counterfactual.score_before)
    start = f"The classifier and the model disagree on {category_title(category)}:"
    if disagreement.flagged:
        return (
            f"{start} the classifier flagged it at {score}, but the model answers no "
            f"{_no_to(category, answers, 'it')}."
        )
    questions = pluralize(disagreement.assessed, "question")
    # A category may be flagged in another frame; the model saw the released one.
    where = " in the released frame" if category.flagged else ""
    return (
        f"{start} the classifier did not flag it{where} ({score}), but the model answers yes to "
        f"{disagreement.yes} of {questions} on it."
    )


def _no_to(category: CategoryResult, answers: Sequence[Answer], topic: str) -> str:
    """``to all 3 questions on Self-harm``, for a category without a yes."""
    asked = sum(answer.category == category.key for answer in answers)
    assessed = len(_assessed(category, answers))
    if assessed < asked:
        questions = pluralize(asked, "question")
        return f"to {assessed} of {questions} on {topic} (the rest were not assessed)"
    return f"to {'the only question' if asked == 1 else f'all {asked} questions'} on {topic}"


def _assessed(category: CategoryResult, answers: Sequence[Answer]) -> list[Answer]:
    return [a for a in answers if a.category == category.key and a.p_yes is not None]


def _missed(category: CategoryResult, answers: Sequence[Answer]) -> bool:
    """Whether questions were asked, but none was answered."""
    asked = any(answer.category == category.key for answer in answers)
    return asked and not _assessed(category, answers)


def judgement_sentences(category: CategoryResult) -> list[str]:
    """What the classifiers that took no part in the search say of the veil."""
    texts = [
        f"{public_model_name(each.judge)}, which took no part in the search, scores "
        f"{percent(each.score_before)} before the veil and {percent(each.score_after)} after it"
        + (
            f"; it disputes the veil (threshold {percent(each.threshold)})."
            if each.disputes
            else "."
        )
        for each in category.counterfactual.judgements
    ]
    if category.counterfactual.judged_fraction:
        texts.append(
            f"{percent(category.counterfactual.judged_fraction)} of the image is veiled only "
            "because a judge disputed a smaller veil."
        )
    return texts
