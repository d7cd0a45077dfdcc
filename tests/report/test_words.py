"""What a report says of a record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from counterveil.narrative import percent
from counterveil.record import Outputs, VeiledOutput
from counterveil.report import words
from tests.report.samples import (
    FOUND,
    STATES,
    animated,
    category,
    elsewhere,
    failed,
    quiet,
    record,
    silent,
    unverified,
)


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_told_from_the_others(name):
    assert words.state(STATES[name]()) == name


def said(record) -> str:
    return " ".join(words.sentences(record))


def risky():
    outputs = record().outputs
    blur = VeiledOutput("a.veiled.png", outputs.veiled.sha256, "blur", True)
    return record(outputs=Outputs(blur, outputs.mask))


TABLE = [
    (record(), "Self-harm flagged the image at 97.0 %; its threshold is 50.0 %."),
    (record(), "BASS divided the image into 25 regions, which FullGrad ranked."),
    (record(), "first flipped with 3 regions veiled, and the veil that was kept touches 2 regions"),
    (record(), "The veil covers 12.5 % of the image."),
    (record(), "It is irreducible"),
    (record(), "The veil is black."),
    (record(), "The written file was decoded again and scored: every category is below"),
    (STATES["clear"](), "No category flagged this image. Faces came closest, at 2.0 %"),
    (STATES["not_found"](), "the whole image is veiled and nothing of it is shown"),
    (STATES["not_found"](), "After 40 images scored, the minimal search was left without a veil"),
    (unverified(), "did not pass: Self-harm at 83.0 % (threshold 50.0 %). Do not treat it as safe"),
    (animated(), "Only a part of this file was judged."),
    (animated(), "holds 30 frames, counted from 0; 2 of them were assessed. Only frame 14 is"),
    (animated(), "Self-harm flagged frame 14 at 97.0 %"),
    (elsewhere(), "Bullying flagged frame 3 at 91.0 %; its threshold is 50.0 %. That frame is not"),
    (elsewhere(), "not released; the one that is scored 1.0 %."),
    (silent(), "All of this file was judged; its reasons are incomplete."),
    (animated(), "While reading: transparency laid on white."),
    (failed(), "This file was not examined: truncated; ask for an intact copy."),
    (failed(), "Nothing was veiled and nothing was released."),
    (risky(), "might be computed back. Do not publish it."),
    (record(categories=()), "Nothing was verified."),
]


@pytest.mark.parametrize(("told", "sentence"), TABLE)
def test_a_sentence_for_each_fact(told, sentence):
    assert sentence in said(told)


SILENT = [
    (unverified(), "is below its threshold"),
    (unverified(), "irreducible"),
    (STATES["not_found"](), "irreducible"),
    (STATES["clear"](), "veil covers"),
    (failed(), "verified"),
    (record(), "whole image"),
    (record(), "frame"),
    (animated(), "That frame is not released"),
    (silent(), "Only a part"),
    (record(), "incomplete"),
    (record(), "computed back"),
]


@pytest.mark.parametrize(("told", "claim"), SILENT)
def test_nothing_is_claimed_that_no_field_says(told, claim):
    assert claim not in said(told)


def test_one_that_is_not_irreducible_takes_the_claim_from_all():
    loose = category(replace(FOUND, irreducible=False), key="faces", title="Faces")
    assert "irreducible" not in said(record(categories=(category(), loose)))


def test_a_headline_names_all_who_flagged_and_says_when_only_a_part_was_judged():
    both = record(categories=(category(), category(key="b", title="Bullying"), quiet()))
    assert words.headline(both) == "Flagged: Self-harm and Bullying. Veiled and verified"
    assert words.headline(animated()).endswith("; judged in part only")
    assert words.headline(silent()).endswith("; reasons incomplete")
    assert words.headline(replace(record(), status="partial", error="half")).endswith("part only")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0 %"), (0.0004, "under 0.1 %"), (0.5, "50.0 %"), (0.9996, "over 99.9 %"),
     (1.0, "100.0 %")],
)  # fmt: skip
def test_a_score_is_never_rounded_to_a_certainty(value, text):
    assert percent(value) == text


def test_what_the_decision_does_not_need_is_told_apart():
    result = replace(FOUND, completed_fraction=0.05)
    said = " ".join(words.sentences(record(categories=(category(result),))))
    assert "5.0 % of the image is the rest of the objects" in said
    assert "What the decision needs is irreducible" in said


def test_what_is_veiled_for_answers_is_not_told_as_the_rest_of_objects():
    result = replace(FOUND, answered_fraction=0.02)
    said = " ".join(words.sentences(record(categories=(category(result),))))
    assert "2.0 % of the image is veiled for the reasoner alone, which still answered yes" in said
    assert "rest of the objects" not in said
    assert "What the decision needs is irreducible" in said
