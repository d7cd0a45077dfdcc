from __future__ import annotations

from dataclasses import replace

import pytest

from counterveil import narrative
from counterveil.record import Answer, CounterfactualResult, Source
from tests.report.samples import FOUND, category, quiet

YES = Answer("self_harm", "Are there marks?", "Yes, on the forearm.", 0.93, 0.02, True)
STAYS = Answer("self_harm", "Is there a blade?", "Yes, a blade.", 0.8, 0.7)
NO = Answer("self_harm", "Is there a skull?", "No.", 0.04)
UNASKED = Answer("self_harm", "Is there blood?", "Yes, blood.", 0.9)
MISSED = Answer("self_harm", "Any pills?", "", None, reason="refused")


def told(*answers, categories=None, description="A forearm.", whole=False):
    return narrative.rationale(
        categories or [category(), quiet()], answers, description, whole=whole
    )


def test_a_moderator_reads_what_was_flagged_seen_and_veiled():
    assert told(YES, NO) == (
        "Flagged as Self-harm (97.0 %). The model says: “A forearm.” It answers yes to 1 question "
        "of 2: “Yes, on the forearm.” The veil covers 12.5 % of the image and takes Self-harm "
        "from 97.0 % to 3.0 %. Of these answers it takes away 1 of 1."
    )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([YES, STAYS], "takes away 1 of 2. Still yes under the veil: “Is there a blade?”."),
        ([YES, UNASKED], "takes away 1 of 2. 1 could not be assessed again under the veil."),
        ([UNASKED, UNASKED], "None of these answers could be assessed again under the veil."),
        ([MISSED, MISSED], "None of 2 questions could be assessed; that is not a no."),
        ([YES, MISSED], "It answers yes to 1 question of 1: "),
        ([YES, YES], "It answers yes to 2 questions of 2: “Yes, on the forearm.” The veil"),
        ([NO], "It answers yes to none of 1 question."),
        ([NO, MISSED], "1 question could not be assessed."),
    ],
)
def test_every_answer_is_accounted_for(answers, words):
    assert words in told(*answers)


@pytest.mark.parametrize(
    ("answers", "words"),
    [([MISSED, MISSED], "yes to none"), ([UNASKED], "takes away"), ([YES], "could not be")],
)
def test_what_was_not_assessed_is_never_worded_as_a_no(answers, words):
    assert words not in told(*answers)


SEVERAL = Source("a.gif", "", 4, 3, "GIF", 3, (0, 1, 2), 1)


def test_frames_are_told_apart_where_there_are_several():
    hidden = category(CounterfactualResult.not_needed(0.01, target=0.1), title="Other", frame=0)
    both = [category(frame=1), hidden]
    text = narrative.rationale(both, [], "", whole=False, source=SEVERAL)
    assert text.startswith("Flagged as Self-harm (97.0 % in frame 1) and Other (97.0 % in frame 0)")
    assert "takes Self-harm from 97.0 % to 3.0 %. Of its 3 frames, counted from 0, only" in text
    told = narrative.statement(both, [], whole=False, model="blip", source=SEVERAL)
    assert "only frame 1 is shown. The ground is our policy on: Self-harm and Other." in told
    assert "Other (97.0 % in frame 0)" in told


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
def test_a_model_is_named_to_outsiders_without_what_is_ours(name, shown):
    assert narrative.public(name) == shown
    statement = narrative.statement([category()], [], whole=False, model=name)
    assert f"(pictograms:self_harm and {shown})" in statement
    for secret in ("secret", "internal", "10.0.0.7", "srv", "abc", "ourhouse"):
        assert secret not in statement


def test_nothing_is_said_of_answers_that_were_not_asked_for():
    assert "answers" not in told()


def test_no_description_is_not_passed_over():
    assert "No description was given." in told(YES, description="")


def test_the_poster_is_told_ground_facts_machine_and_redress():
    text = narrative.statement([category(), quiet()], [YES, STAYS, NO], whole=False, model="blip")
    for part in (
        "12.5 % of it, are hidden; the rest is unchanged",
        "The ground is our policy on: Self-harm.",
        "Self-harm (97.0 %)",
        "Yes, on the forearm.",
        "software (pictograms:self_harm and blip), without a person",
        "ask for a review by a person",
    ):
        assert part in text


def test_what_still_shows_is_not_held_against_the_poster():
    assert "blade" not in narrative.statement([category()], [STAYS], whole=False, model="blip")


def test_nothing_flagged_needs_no_reasons():
    assert narrative.statement([quiet()], [NO], whole=False, model="blip") == ""


def test_two_categories_are_both_told():
    weaker = replace(FOUND, score_before=0.6)
    other = category(weaker, key="x", title="Cyberbullying", score=0.6)
    text = told(categories=[category(), other])
    assert text.startswith("Flagged as Self-harm (97.0 %) and Cyberbullying (60.0 %).")
    assert "Self-harm from 97.0 % to 3.0 % and Cyberbullying from 60.0 % to 3.0 %" in text


def test_the_whole_image():
    result = replace(FOUND, outcome="not_found", area_fraction=1.0)
    assert "The veil covers the whole image" in told(categories=[category(result)], whole=True)
