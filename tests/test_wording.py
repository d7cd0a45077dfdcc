from __future__ import annotations

from dataclasses import replace

import pytest

from counterveil import wording
from counterveil.record import Answer
from tests.report.samples import FOUND, category, quiet

YES = Answer("self_harm", "Are there marks?", "Yes, on the forearm.", 0.93, 0.02, True)
STAYS = Answer("self_harm", "Is there a blade?", "Yes, a blade.", 0.8, 0.7)
NO = Answer("self_harm", "Is there a skull?", "No.", 0.04)
MISSED = Answer("self_harm", "Any pills?", "", None, reason="refused")


def told(*answers, categories=None, description="A forearm.", whole=False):
    return wording.rationale(categories or [category(), quiet()], answers, description, whole=whole)


def test_a_moderator_reads_what_was_flagged_seen_and_veiled():
    assert told(YES, NO) == (
        "Flagged as Self-harm (97.0 %). The model says: “A forearm.” It answers yes to 1 question "
        "of 2: “Yes, on the forearm.” The veil covers 12.5 % of the image and takes Self-harm "
        "from 97.0 % to 3.0 %. Of these answers it takes away 1 of 1."
    )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([YES, STAYS], "Still yes under the veil: “Is there a blade?”"),
        ([YES, YES], "It answers yes to 2 questions of 2: “Yes, on the forearm.” The veil"),
        ([NO], "It answers yes to none of 1 question."),
        ([NO, MISSED], "1 question could not be assessed."),
    ],
)
def test_every_answer_is_accounted_for(answers, words):
    assert words in told(*answers)


def test_nothing_is_said_of_answers_that_were_not_asked_for():
    assert "answers" not in told()


def test_no_description_is_not_passed_over():
    assert "No description was given." in told(YES, description="")


def test_the_poster_is_told_ground_facts_machine_and_redress():
    text = wording.statement([category(), quiet()], [YES, STAYS, NO], whole=False, model="blip")
    for part in (
        "12.5 % of it, are hidden; the rest is unchanged",
        "The ground is our policy on: Self-harm.",
        "Self-harm (97.0 %)",
        "Yes, on the forearm.",
        "software (proxy:self_harm and blip), without a person",
        "ask for a review by a person",
    ):
        assert part in text


def test_what_still_shows_is_not_held_against_the_poster():
    assert "blade" not in wording.statement([category()], [STAYS], whole=False, model="blip")


def test_nothing_flagged_needs_no_reasons():
    assert wording.statement([quiet()], [NO], whole=False, model="blip") == ""


def test_two_categories_are_both_told():
    other = replace(category(), key="x", title="Cyberbullying", score=0.6)
    text = told(categories=[category(), other])
    assert text.startswith("Flagged as Self-harm (97.0 %) and Cyberbullying (60.0 %).")
    assert "Self-harm from 97.0 % to 3.0 % and Cyberbullying from 60.0 % to 3.0 %" in text


def test_the_whole_image():
    result = replace(FOUND, outcome="not_found", area_fraction=1.0)
    assert "The veil covers the whole image" in told(categories=[category(result)], whole=True)
