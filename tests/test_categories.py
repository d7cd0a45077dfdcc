from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterveil.categories import (
    CATEGORIES,
    GENERIC_QUESTIONS,
    PAPER_CATEGORIES,
    Category,
    ControlCode,
)
from counterveil.errors import UsageError


def test_the_papers_categories_ask_the_questions_of_its_table_2():
    asked = {
        key: [question.text for question in CATEGORIES[key].questions] for key in PAPER_CATEGORIES
    }
    assert asked == {
        "sexually_explicit": [
            "Does the image contain any sexual content or nudity?",
            "Does the image contain explicit sexual content?",
        ],
        "cyberbullying": [
            "Does the image contain potentially offensive gestures or symbols?",
            "Does the image contain any weapons?",
            "Is there any aggressive behavior shown in the image?",
            "Is there any text in the image that might be considered hate speech?",
        ],
        "self_harm": [
            "Are there any depictions of self-harm in the image?",
            "Are there visible signs of self-bruising or self-harm through physical trauma?",
            "Does the image contain symbols associated with self-destructive behavior?",
        ],
    }
    assert [question.text for question in GENERIC_QUESTIONS] == [
        "What is happening in the image?",
        "What are the people doing?",
    ]


@pytest.mark.parametrize("key", CATEGORIES)
def test_a_category_is_data(key):
    category = CATEGORIES[key]
    assert category.key == key
    assert Category.from_dict(json.loads(json.dumps(category.to_dict()))) == category


def test_control_code_tells_who_flagged_and_how_sure():
    code = ControlCode.from_scores({"a": 0.6, "b": 0.49, "c": 0.9}, {"a": 0.5, "b": 0.5, "c": 0.9})
    assert code.to_dict() == {"a": 0.6, "b": 0.0, "c": 0.9}
    assert code.flagged == ("c", "a")
    assert code.scaled(0).flagged == ()
    with pytest.raises(UsageError, match="'a'"):
        ControlCode({"a": 1.1})


def test_importing_categories_loads_no_torch():
    code = "import sys, counterveil.categories; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("threshold", "margin", "target"),
    [
        (0.5, 0.4, 0.3),
        (0.5, 0.9, 0.05),  # without rounding 0.04999999999999999
        (0.8, 0.5, 0.4),
        (0.3, 0.4, 0.18),
        (0.1, 0.3, 0.07),  # without rounding 0.06999999999999999
        (0.5, 0.0, 0.5),
        (1.0, 0.0, 1.0),
    ],
)
def test_the_target_is_the_threshold_less_the_margin_exactly_as_written(threshold, margin, target):
    category = Category("logos", "Logos", threshold=threshold, classifier="python:a:b")
    assert category.target(margin) == target


@given(
    st.floats(0, 1, exclude_min=True, allow_subnormal=False),
    st.floats(0, 1, exclude_max=True, allow_subnormal=False),
)
def test_a_target_is_above_zero_and_never_above_the_threshold(threshold, margin):
    category = Category("logos", "Logos", threshold=threshold, classifier="python:a:b")
    assert 0 < category.target(margin) <= threshold
