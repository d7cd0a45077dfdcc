"""Rationale, statement of reasons, and the texts of a report."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from counterveil.narrative.disagreement import (
    confirmation_sentences,
    disagreement_sentences,
    judgement_sentences,
)
from counterveil.narrative.phrases import (
    category_title,
    category_titles,
    end_sentence,
    is_private,
    join_list,
    none_flagged,
    percent,
    pluralize,
    privacy_sentence,
    public_model_name,
    ratings,
    regions_sentence,
    released_frame,
    veil_area,
    veiled_percent,
)
from counterveil.outcomes import outcome
from counterveil.record import (
    Answer,
    CategoryResult,
    Disagreement,
    Record,
    Source,
)

PROFILE_NOTICES = MappingProxyType(
    {
        "pictograms": "The profile “pictograms” is for drawn scenes only. Its classifiers know "
        "pictograms; their scores say nothing about photographs."
    }
)


def rationale(
    categories: Sequence[CategoryResult],
    answers: Sequence[Answer],
    description: str,
    *,
    whole: bool,
    source: Source | None = None,
    disagreements: Sequence[Disagreement] = (),
) -> str:
    """Text for a moderator: what was flagged, described, answered and veiled.

    Args:
        categories: all of the record's.
        answers: to the moderator's questions.
        description: the model's.
        whole: the whole image is veiled.
        source: the file; needed to name frames where it holds several.
        disagreements: between classifiers and model.
    """
    flagged = [category for category in categories if category.flagged]
    if flagged:
        texts = [f"The classifiers flagged the image as {ratings(flagged, source)}."]
        texts += privacy_sentence(flagged)
    else:
        texts = [none_flagged(categories)]
    texts.append(
        f"The model says: “{description}”" if description else "The model gave no description."
    )
    texts += _answered(answers)
    if flagged:
        texts += [veil_area(flagged, whole=whole), *_score_changes(flagged)]
        texts += [*released_frame(source), *_answers_under_veil(answers)]
    texts += disagreement_sentences(categories, answers, disagreements)
    return " ".join(texts)


def statement(
    categories: Sequence[CategoryResult],
    answers: Sequence[Answer],
    *,
    whole: bool,
    model: str,
    source: Source | None = None,
    disagreements: Sequence[Disagreement] = (),
) -> str:
    """Statement of reasons for the person who posted the image; empty where nothing was flagged.

    It names the decision, its ground and facts, the use of automated means and the way to a
    review by a person. A ground that the reasoner does not confirm is told apart. Models are named
    as by ``public_model_name``.

    References:
        Regulation (EU) 2022/2065 (Digital Services Act), article 17.
    """
    flagged = [category for category in categories if category.flagged]
    if not flagged:
        return ""
    keys = {category.key for category in flagged}
    # What still shows was no reason to hide, so only answers whose evidence was hidden count.
    facts = dict.fromkeys(
        a.answer for a in answers if a.category in keys and a.yes and a.answer and a.grounded
    )
    models = [*(c.classifier for c in flagged if c.classifier), model]
    software = join_list(list(dict.fromkeys(map(public_model_name, models))))
    if whole:
        hidden = "Your image is hidden as a whole."
    elif all(category.counterfactual.outcome == "not_needed" for category in flagged):
        hidden = "The decision is about a part of your file that is not released."
    else:
        hidden = (
            f"The parts that led to this decision, {veiled_percent(flagged)} of your image, are "
            "hidden; the rest is unchanged."
        )
    texts = [
        hidden,
        *released_frame(source),
        f"The ground is our policy on: {category_titles(flagged)}.",
        *privacy_sentence(flagged),
        *confirmation_sentences(flagged, answers, disagreements, source),
        f"The image was rated by automated means: {ratings(flagged, source)}.",
        *([f"The software described what it saw: {' '.join(facts)}"] if facts else []),
        f"The decision was made by software ({software}), without a person.",
        "If you think that it is wrong, ask for a review by a person.",
    ]
    return " ".join(texts)


def headline(record: Record) -> str:
    """Result of a record in a few words."""
    label = outcome(record).title
    if not record.flagged:
        return label
    if record.status == "partial":
        shown = "veiled as a whole" if record.whole_image_veiled else "veiled and verified"
        label = f"{label}, {shown}"
    ground = "For privacy" if all(map(is_private, record.flagged)) else "Flagged"
    return f"{ground}: {category_titles(record.flagged)}. {label}"


def sentences(record: Record) -> tuple[str, ...]:
    """What was done, one claim per sentence, in the order of the steps; the verdict is last."""
    if record.status in ("error", "not_assessed"):
        reason = end_sentence(record.error or "no reason is recorded")
        return (
            f"This file was not {'examined' if record.status == 'error' else 'assessed'}: {reason}",
            "Nothing was veiled and nothing was released.",
            "Treat this file as unsafe until it has been examined.",
        )
    texts = _assessed(record)
    if not record.flagged:
        texts.append(none_flagged(record.categories))
    for category in record.flagged:
        texts += _category(record, category)
    if record.rationale is not None:
        said = record.rationale
        texts += disagreement_sentences(record.categories, said.answers, said.disagreements)
    return (*texts, *_veil(record), *_fill(record), verdict(record))


def verdict(record: Record) -> str:
    """Result of the verification of the written file."""
    failed = [
        f"{category_title(c)} at {percent(c.counterfactual.score_after)} "
        f"(threshold {percent(c.threshold)})"
        for c in record.categories
        if not c.counterfactual.verified
    ]
    if not record.categories:
        return "Nothing was verified."
    if not failed:
        return (
            "The written file was decoded and scored again: every category is below its threshold."
        )
    return f"The written file did not pass: {join_list(failed)}. Do not treat this file as safe."


def _answered(answers: Sequence[Answer]) -> list[str]:
    """Which questions were answered yes, each sentence once, and how many were not assessed."""
    yes = [answer for answer in answers if answer.yes]
    assessed = sum(answer.p_yes is not None for answer in answers)
    missed = len(answers) - assessed
    texts = []
    if yes:
        quoted = " ".join(f"“{text}”" for text in dict.fromkeys(a.answer for a in yes if a.answer))
        which = f"{len(yes)} of {pluralize(assessed, 'question')}"
        texts.append(f"The model answers yes to {which}{': ' + quoted if quoted else '.'}")
    elif assessed:
        texts.append(f"The model answers yes to none of {pluralize(assessed, 'question')}.")
    if missed and not assessed:
        texts.append(
            f"None of {pluralize(missed, 'question')} could be assessed; this does not mean no."
        )
    elif missed:
        texts.append(f"{pluralize(missed, 'question')} could not be assessed.")
    return texts


def _score_changes(flagged: Sequence[CategoryResult]) -> list[str]:
    changes = [
        f"of {category_title(c)} from {percent(c.counterfactual.score_before)} to "
        f"{percent(c.counterfactual.score_after)}"
        for c in flagged
        if c.counterfactual.outcome != "not_needed"  # flagged in a frame that is not released
    ]
    return [f"It changes the score {join_list(changes)}."] if changes else []


def _answers_under_veil(answers: Sequence[Answer]) -> list[str]:
    yes = [answer for answer in answers if answer.yes]
    asked_again = [answer for answer in yes if answer.p_yes_veiled is not None]
    still_yes = [answer for answer in asked_again if not answer.grounded]
    removed, missed = len(asked_again) - len(still_yes), len(yes) - len(asked_again)
    texts = []
    if asked_again and len(yes) == 1:
        texts.append(f"The veil {'removes' if removed else 'does not remove'} this answer.")
    elif asked_again:
        texts.append(f"The veil removes {removed} of these {len(yes)} answers.")
    if yes and not asked_again:
        texts.append("None of these answers could be assessed again under the veil.")
    elif missed:
        texts.append(f"{missed} could not be assessed again under the veil.")
    if still_yes:
        questions = join_list([f"“{answer.question}”" for answer in still_yes])
        texts.append(f"Still yes under the veil: {questions}.")
    return texts


def _assessed(record: Record) -> list[str]:
    texts = [end_sentence(f"{gap[:1].upper()}{gap[1:]}") for gap in record.not_assessed]
    if record.not_covered:
        texts.append(f"Not assessed by this profile: {end_sentence(record.not_covered)}")
    texts += released_frame(record.source)
    return texts + [f"While reading: {end_sentence(note)}" for note in record.source.notes]


def _category(record: Record, category: CategoryResult) -> list[str]:
    result = category.counterfactual
    what = f"frame {category.frame}" if record.source.frames > 1 else "the image"
    if category.view:
        what += f" ({category.view})"
    texts = [
        f"{category_title(category)} flagged {what} at {percent(category.score)}; its threshold is "
        f"{percent(category.threshold)}."
    ]
    texts += privacy_sentence([category])
    if category.score > result.score_before:  # the released frame is named on a tie
        before = percent(result.score_before)
        which = "view" if category.view else "frame"
        texts.append(f"That {which} is not released. The released frame scored {before}.")
    if result.regions_total:
        texts.append(regions_sentence(result))
    scored = f"The {result.search} search scored {pluralize(result.evaluations, 'image')}"
    if result.outcome == "found":
        texts.append(
            f"{scored}. The decision first flipped with {pluralize(result.depth, 'region')} "
            f"veiled; the final veil touches {pluralize(result.regions_veiled, 'region')}."
        )
    elif result.outcome == "not_found":
        texts.append(f"{scored} and ended without a valid veil.")
    return [*texts, *judgement_sentences(category)]


def _veil(record: Record) -> list[str]:
    flagged = record.flagged
    if record.whole_image_veiled:
        reason = "No counterfactual was found within the budget."
        return [reason, veil_area(flagged, whole=True)]
    if not flagged:
        return []
    texts = [veil_area(flagged, whole=False)]
    results = [category.counterfactual for category in flagged]
    completed = max(result.completed_fraction for result in results)
    answered = max(result.answered_fraction for result in results)
    if completed:
        texts.append(
            f"{percent(completed)} of the image is the rest of objects that the search veiled in "
            "part; the decision does not need it."
        )
    if answered:
        texts.append(
            f"{percent(answered)} of the image is veiled for the reasoner alone, which answered "
            "yes while it was visible; the decision does not need it."
        )
    if all(result.irreducible for result in results):
        what = "The part that the decision needs" if completed or answered else "The veil"
        texts.append(
            f"{what} is irreducible: uncovering any single piece of it raises a score to the "
            "target of the search or above."
        )
    return texts


def _fill(record: Record) -> list[str]:
    if record.outputs is None or not record.flagged:
        return []
    veiled = record.outputs.veiled
    texts = [f"The fill is {veiled.fill}."]
    if veiled.reversible_risk:
        texts.append(
            "It hides the content from the eye, but part of the content might be computed back. "
            "Do not publish this file."
        )
    return texts
