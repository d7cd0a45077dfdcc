from __future__ import annotations

from dataclasses import replace

import pytest

from counterveil import narrative
from counterveil.narrative.phrases import answer_evidence, answer_status
from counterveil.outcomes import outcome
from counterveil.record import (
    Answer,
    CounterfactualResult,
    Disagreement,
    Outputs,
    Rationale,
    Source,
    VeiledOutput,
)
from tests.report.samples import (
    FOUND,
    STATES,
    animated,
    category,
    failed,
    flagged_in_two_frames,
    not_flagged,
    partly_answered,
    record,
    unverified,
)

YES = Answer("self_harm", "Are there marks?", "Yes, on the forearm.", 0.93, 0.02, True)
STAYS = Answer("self_harm", "Is there a blade?", "Yes, a blade.", 0.8, 0.7)
NO = Answer("self_harm", "Is there a skull?", "No.", 0.04)
UNASKED = Answer("self_harm", "Is there blood?", "Yes, blood.", 0.9)
MISSED = Answer("self_harm", "Any pills?", "", None, reason="refused")


def rationale(*answers, categories=None, description="A forearm.", whole=False):
    return narrative.rationale(
        categories or [category(), not_flagged()], answers, description, whole=whole
    )


def test_a_rationale_names_flags_answers_and_veil():
    assert rationale(YES, NO) == (
        "The classifiers flagged the image as Self-harm (97.0 %). The model says: “A forearm.” The "
        "model answers yes to 1 of 2 questions: “Yes, on the forearm.” The veil covers 12.5 % of "
        "the image. It changes the score of Self-harm from 97.0 % to 3.0 %. The veil removes this "
        "answer."
    )


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (
            [YES, STAYS],
            "removes 1 of these 2 answers. Still yes under the veil: “Is there a blade?”.",
        ),
        (
            [YES, UNASKED],
            "removes 1 of these 2 answers. 1 could not be assessed again under the veil.",
        ),
        ([UNASKED, UNASKED], "None of these answers could be assessed again under the veil."),
        ([MISSED, MISSED], "None of 2 questions could be assessed; this does not mean no."),
        ([YES, MISSED], "The model answers yes to 1 of 1 question: "),
        ([YES, YES], "The model answers yes to 2 of 2 questions: “Yes, on the forearm.” The veil"),
        ([NO], "The model answers yes to none of 1 question."),
        ([NO, MISSED], "1 question could not be assessed."),
        ([STAYS], "The veil does not remove this answer."),
    ],
)
def test_every_answer_is_accounted_for(answers, sentence):
    assert sentence in rationale(*answers)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [([MISSED, MISSED], "yes to none"), ([UNASKED], "The veil removes"), ([YES], "could not be")],
)
def test_an_answer_that_was_not_assessed_is_never_a_no(answers, sentence):
    assert sentence not in rationale(*answers)


SEVERAL = Source("a.gif", "", 4, 3, "GIF", 3, (0, 1, 2), 1)


def test_frames_are_named_where_there_are_several():
    hidden = category(CounterfactualResult.not_needed(0.01, target=0.1), title="Other", frame=0)
    both = [category(frame=1), hidden]
    text = narrative.rationale(both, [], "", whole=False, source=SEVERAL)
    assert (
        "flagged the image as Self-harm (97.0 % in frame 1) and Other (97.0 % in frame 0)." in text
    )
    assert (
        "score of Self-harm from 97.0 % to 3.0 %. The file holds 3 frames, counted from 0; 3 of"
        in text
    )
    statement = narrative.statement(both, [], whole=False, model="blip", source=SEVERAL)
    assert (
        "Only frame 1 is released. The ground is our policy on: Self-harm and Other." in statement
    )
    assert "Other (97.0 % in frame 0)" in statement


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("chat:10.0.0.7:8000#org/llava-1.6", "llava-1.6"),
        ("chat:https://user:secret@vlm.internal/v1?key=abc#/srv/models/llava", "llava"),
        ("chat:vlm.internal", "a model of our own"),
        ("worker:python /srv/ofa.py --token abc", "a program of our own"),
        ("python:ourhouse.rules:make", "a program of our own"),
        ("resnet50:/srv/weights/nsfw.safetensors", "resnet50:nsfw.safetensors"),
        ("blip:/srv/models/ours/", "blip:ours"),
        ("blip:Salesforce/instructblip", "blip:Salesforce/instructblip"),
        ("zeroshot:google/siglip2#a rude gesture||a place", "zeroshot:google/siglip2"),
        ("blip", "blip"),
    ],
)
def test_a_public_model_name_holds_no_address_and_no_folder(name, shown):
    assert narrative.public_model_name(name) == shown
    statement = narrative.statement([category()], [], whole=False, model=name)
    assert f"(pictograms:self_harm and {shown})" in statement
    for secret in ("secret", "internal", "10.0.0.7", "srv", "abc", "ourhouse"):
        assert secret not in statement


def test_without_questions_no_sentence_is_about_answers():
    assert "answers" not in rationale()


def test_a_missing_description_is_mentioned():
    assert "The model gave no description." in rationale(YES, description="")


def test_a_statement_names_ground_facts_software_and_review():
    text = narrative.statement(
        [category(), not_flagged()], [YES, STAYS, NO], whole=False, model="blip"
    )
    for part in (
        "12.5 % of your image, are hidden; the rest is unchanged",
        "The ground is our policy on: Self-harm.",
        "Self-harm (97.0 %)",
        "Yes, on the forearm.",
        "software (pictograms:self_harm and blip), without a person",
        "ask for a review by a person",
    ):
        assert part in text


def test_a_statement_leaves_out_what_still_shows():
    assert "blade" not in narrative.statement([category()], [STAYS], whole=False, model="blip")


def test_without_a_flag_there_is_no_statement():
    assert narrative.statement([not_flagged()], [NO], whole=False, model="blip") == ""


def test_two_categories_are_both_named():
    weaker = replace(FOUND, score_before=0.6)
    other = category(weaker, key="x", title="Cyberbullying", score=0.6)
    text = rationale(categories=[category(), other])
    assert "flagged the image as Self-harm (97.0 %) and Cyberbullying (60.0 %)." in text
    assert "Self-harm from 97.0 % to 3.0 % and of Cyberbullying from 60.0 % to 3.0 %" in text


def test_the_whole_image():
    result = replace(FOUND, outcome="not_found", area_fraction=1.0)
    assert "The veil covers the whole image" in rationale(categories=[category(result)], whole=True)


@pytest.mark.parametrize("name", STATES)
def test_each_record_has_its_state(name):
    assert outcome(STATES[name]()).key == name


def report_text(record) -> str:
    return " ".join(narrative.sentences(record))


def risky():
    outputs = record().outputs
    blur = VeiledOutput("a.veiled.png", outputs.veiled.sha256, "blur", True)
    return record(outputs=Outputs(blur, outputs.mask))


SENTENCES = [
    (record(), "Self-harm flagged the image at 97.0 %; its threshold is 50.0 %."),
    (record(), "BASS divided the image into 25 regions, and FullGrad ranked them."),
    (record(), "first flipped with 3 regions veiled; the final veil touches 2 regions"),
    (record(), "The veil covers 12.5 % of the image."),
    (record(), "The veil is irreducible"),
    (record(), "The fill is black."),
    (record(), "The written file was decoded and scored again: every category is below"),
    (STATES["clean"](), "No category flagged this image. Faces came closest, at 2.0 %"),
    (
        STATES["veiled_whole"](),
        "No counterfactual was found within the budget. The veil covers the whole image.",
    ),
    (
        STATES["veiled_whole"](),
        "The minimal search scored 40 images and ended without a valid veil.",
    ),
    (
        unverified(),
        "did not pass: Self-harm at 83.0 % (threshold 50.0 %). Do not treat this file as safe",
    ),
    (animated(), "28 of 30 frames were not assessed."),
    (animated(), "holds 30 frames, counted from 0; 2 of them were assessed. Only frame 14 is"),
    (animated(), "Self-harm flagged frame 14 at 97.0 %"),
    (
        flagged_in_two_frames(),
        "Bullying flagged frame 3 at 91.0 %; its threshold is 50.0 %. That frame is not",
    ),
    (flagged_in_two_frames(), "not released. The released frame scored 1.0 %."),
    (partly_answered(), "The reasoner did not answer 1 question (it refused); that is not a no."),
    (animated(), "While reading: transparency laid on white."),
    (failed(), "This file was not examined: truncated; ask for an intact copy."),
    (failed(), "Nothing was veiled and nothing was released."),
    (risky(), "might be computed back. Do not publish this file."),
    (record(categories=()), "Nothing was verified."),
]


@pytest.mark.parametrize(("record", "sentence"), SENTENCES)
def test_a_sentence_for_each_fact(record, sentence):
    assert sentence in report_text(record)


ABSENT = [
    (unverified(), "is below its threshold"),
    (unverified(), "irreducible"),
    (STATES["veiled_whole"](), "irreducible"),
    (STATES["clean"](), "veil covers"),
    (failed(), "verified"),
    (record(), "whole image"),
    (record(), "frame"),
    (animated(), "That frame is not released"),
    (partly_answered(), "Only part"),
    (record(), "incomplete"),
    (record(), "computed back"),
]


@pytest.mark.parametrize(("record", "claim"), ABSENT)
def test_no_claim_without_a_field(record, claim):
    assert claim not in report_text(record)


def test_irreducible_is_claimed_only_if_all_categories_are():
    loose = category(replace(FOUND, irreducible=False), key="faces", title="Faces")
    assert "irreducible" not in report_text(record(categories=(category(), loose)))


def test_a_headline_names_all_flags_and_what_is_incomplete():
    both = record(categories=(category(), category(key="b", title="Bullying"), not_flagged()))
    assert narrative.headline(both) == "Flagged: Self-harm and Bullying. Veiled and verified"
    assert narrative.headline(animated()).endswith("Assessed in part, veiled and verified")


def test_a_face_is_veiled_for_privacy_and_nobody_is_accused():
    face = category(key="faces", title="Faces", classifier="faces:")
    said = "Faces: no offence, veiled for privacy."
    assert said in narrative.statement([face], [], whole=False, model="")
    assert said in rationale(categories=[face])
    assert said in narrative.sentences(record(categories=(face,)))
    only = record(categories=(face,))
    assert narrative.headline(only) == "For privacy: Faces. Veiled and verified"
    both = record(categories=(category(), face))
    assert narrative.headline(both).startswith("Flagged: Self-harm and Faces.")
    assert narrative.sentences(both).count(said) == 1
    assert not any("privacy" in text for text in narrative.sentences(record()))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0 %"), (0.0004, "under 0.1 %"), (0.5, "50.0 %"), (0.9996, "over 99.9 %"),
     (1.0, "100.0 %")],
)  # fmt: skip
def test_a_score_is_never_rounded_to_a_certainty(value, text):
    assert narrative.percent(value) == text


def test_the_rest_of_objects_is_named_apart():
    result = replace(FOUND, completed_fraction=0.05)
    text = report_text(record(categories=(category(result),)))
    assert "5.0 % of the image is the rest of objects" in text
    assert "The part that the decision needs is irreducible" in text


def test_the_part_veiled_for_answers_is_named_apart():
    result = replace(FOUND, answered_fraction=0.02)
    text = report_text(record(categories=(category(result),)))
    assert "2.0 % of the image is veiled for the reasoner alone, which answered yes" in text
    assert "rest of objects" not in text
    assert "The part that the decision needs is irreducible" in text


def test_an_answer_that_was_not_asked_again_has_no_evidence():
    yes, missed = partly_answered().rationale.answers
    assert [answer_status(answer) for answer in (yes, missed, NO)] == ["yes", "not_assessed", "no"]
    assert answer_evidence(yes, flagged=True) == "not assessed"
    assert answer_evidence(yes, flagged=False) == answer_evidence(missed, flagged=True) == ""
    assert answer_evidence(YES, flagged=True) == "what is veiled"
    assert answer_evidence(STAYS, flagged=True) == "what is still visible"


DENIED = Disagreement("self_harm", True, 0, 3)
NOES = [Answer("self_harm", f"{n}?", "No.", 0.1) for n in range(3)]
FACES_NO = Answer("faces", "A face?", "No.", 0.1)
FACES_YES = Answer("faces", "A face?", "Yes, a face.", 0.9, 0.1, True)
FACES_MISSED = Answer("faces", "A face?", "", None, reason="refused")
FACES = category(replace(FOUND, score_before=0.8), key="faces", title="Faces", score=0.8)
UNCONFIRMED = "The software that describes images did not confirm"


def told(*answers, disagreements, categories=None, source=None):
    """What the moderator, the report and the poster read about one record."""
    categories = tuple(categories or (category(score=0.54), not_flagged()))
    moderator = narrative.rationale(
        categories, answers, "", whole=False, source=source, disagreements=disagreements
    )
    poster = narrative.statement(
        categories, answers, whole=False, model="blip", source=source, disagreements=disagreements
    )
    said = Rationale("", "", answers, {}, "blip", disagreements=tuple(disagreements))
    shown = record(rationale=said, categories=categories, source=source or record().source)
    return moderator, " ".join(narrative.sentences(shown)), poster


def test_a_ground_that_the_reasoner_denies_is_told_to_everybody():
    moderator, report, poster = told(*NOES, disagreements=[DENIED])
    sentence = "the classifier flagged it at 97.0 %, but the model answers no to all 3 questions on"
    assert sentence in moderator and sentence in report
    assert f"Self-harm. {UNCONFIRMED} this: it answered no to all 3 questions on Self-harm." in (
        poster
    )


def test_grounds_are_told_apart_where_one_is_confirmed():
    _, _, poster = told(*NOES, FACES_YES, disagreements=[DENIED], categories=[category(), FACES])
    assert f"{UNCONFIRMED} all of this: it answered no to all 3 questions on Self-harm." in poster
    assert "The software described what it saw: Yes, a face." in poster


def test_several_denied_grounds_are_one_sentence():
    both = [DENIED, Disagreement("faces", True, 0, 1)]
    moderator, _, poster = told(*NOES, FACES_NO, disagreements=both, categories=[category(), FACES])
    assert (
        f"{UNCONFIRMED} this: it answered no to all 3 questions on Self-harm and to the only "
        "question on Faces." in poster
    )
    assert moderator.count("disagree on") == 2
    assert moderator.count("A person should check the image.") == 1


def test_a_ground_that_could_not_be_asked_about_is_not_called_denied():
    moderator, report, poster = told(
        *NOES, FACES_MISSED, disagreements=[DENIED], categories=[category(), FACES]
    )
    assert "The software that describes images could not be asked about Faces." in poster
    assert f"{UNCONFIRMED} all of this: it answered no to all 3 questions on Self-harm." in poster
    for text in (moderator, report):
        assert "The model answered no question on Faces: this neither confirms nor denies" in text
    alone = told(FACES_MISSED, disagreements=[], categories=[FACES])
    assert all("disagree" not in text and "did not confirm" not in text for text in alone)


def test_a_no_to_some_questions_counts_those_that_were_assessed():
    missed = replace(NOES[0], p_yes=None)
    _, _, poster = told(missed, *NOES[1:], disagreements=[Disagreement("self_harm", True, 0, 2)])
    assert "no to 2 of 3 questions on Self-harm (the rest were not assessed)." in poster


def test_a_yes_without_a_flag_is_told_also_beside_a_flag():
    found = [Disagreement("faces", False, 1, 1)]
    moderator, report, poster = told(YES, FACES_YES, disagreements=found)
    for text in (moderator, report):
        assert (
            "disagree on Faces: the classifier did not flag it (2.0 %), but the model answers yes "
            "to 1 of 1 question on it. A person should check the image." in text
        )
    assert "confirm" not in poster and "Faces" not in poster


def test_a_no_about_the_released_frame_denies_nothing_of_another():
    elsewhere = category(
        CounterfactualResult.not_needed(0.01, target=0.1), key="faces", title="Faces", frame=0
    )
    shown = [category(frame=1), elsewhere]
    moderator, report, poster = told(
        YES, FACES_NO, disagreements=[], categories=shown, source=SEVERAL
    )
    assert "disagree" not in moderator + report and UNCONFIRMED not in poster
    assert (
        "The software that describes images saw only frame 1, so it could not confirm Faces in "
        "frame 0." in poster
    )
    view = replace(elsewhere, frame=1)  # of the same frame, such as on black
    _, _, poster = told(YES, FACES_NO, disagreements=[], categories=[view], source=SEVERAL)
    assert "saw another view of the image, so it could not confirm Faces." in poster
    found = [Disagreement("faces", False, 1, 1)]
    moderator, _, poster = told(
        YES, FACES_YES, disagreements=found, categories=shown, source=SEVERAL
    )
    assert "did not flag it in the released frame (1.0 %), but the model answers yes" in moderator
    assert "could not confirm" not in poster


def test_without_a_disagreement_nothing_is_said_about_one():
    for text in told(YES, FACES_NO, disagreements=[]):
        assert "disagree" not in text and "confirm" not in text
