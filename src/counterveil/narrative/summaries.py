"""One line on a record, to stand behind the title of its outcome."""

from __future__ import annotations

from collections.abc import Sequence

from counterveil.narrative.disagreement import disagreement_sentences
from counterveil.narrative.phrases import (
    category_title,
    category_titles,
    end_sentence,
    join_list,
    percent,
    pluralize,
    public_model_name,
    veiled_percent,
)
from counterveil.outcomes import outcome
from counterveil.record import CategoryResult, Record


def summary(record: Record) -> str:
    """Why the record has its outcome: the error, the score that counts, or what was veiled."""
    if record.error is not None:
        # An error names its file; a line about one image does so already.
        return end_sentence(record.error.removeprefix(f"{record.source.name}: "))
    key = outcome(record).key
    if key == "not_verified":
        failed = [c for c in record.categories if not c.counterfactual.verified]
        return f"After the veil: {_scores_after(failed)}." if failed else "Nothing was verified."
    if key == "disputed":
        disputed = [c for c in record.flagged if c.counterfactual.disputed]
        return f"After the veil, a judge still says unsafe: {_disputes(disputed)}."
    if key == "left_out":
        return f"{join_list([_left_out(category) for category in record.flagged])}."
    texts = [_flagged(record)]
    if key == "partial" and record.not_assessed:
        first, *others = record.not_assessed
        texts.insert(0, end_sentence(f"{first[:1].upper()}{first[1:]}"))
        texts[1:1] = [f"{pluralize(len(others), 'other gap')}."] if others else []
    if record.rationale is not None and record.rationale.disagreements:
        texts.append("Classifier and reasoner disagree.")
    return " ".join(texts)


def disagreements(record: Record) -> tuple[str, ...]:
    """Sentences on where classifier and reasoner disagree, and what only one of them assessed."""
    if record.rationale is None:
        return ()
    said = record.rationale
    return tuple(disagreement_sentences(record.categories, said.answers, said.disagreements))


def _disputes(categories: Sequence[CategoryResult]) -> str:
    return join_list(
        [
            f"{category_title(category)} {percent(judgement.score_after)} by "
            f"{public_model_name(judgement.judge)}"
            for category in categories
            for judgement in category.counterfactual.judgements
            if judgement.disputes
        ]
    )


def _scores_after(categories: Sequence[CategoryResult]) -> str:
    return join_list(
        [
            f"{category_title(c)} {percent(c.counterfactual.score_after)}, "
            f"threshold {percent(c.threshold)}"
            for c in categories
        ]
    )


def _left_out(category: CategoryResult) -> str:
    place = category.view or f"frame {category.frame} of the file"
    return f"{category_title(category)} in the {place}, at {percent(category.score)}"


def _flagged(record: Record) -> str:
    if not record.categories:
        return "No category was assessed."
    if record.flagged:
        covered = "all" if record.whole_image_veiled else veiled_percent(record.flagged)
        return f"{category_titles(record.flagged)}; {covered} of the image is veiled."
    closest = max(record.categories, key=lambda c: c.score - c.threshold)
    return f"{category_title(closest)} came closest, at {percent(closest.score)}."
