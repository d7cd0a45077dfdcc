from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from counterveil.categories import (
    CATEGORIES,
    GENERIC_QUESTIONS,
    PAPER,
    Category,
    ControlCode,
    Question,
    read_toml,
)
from counterveil.errors import UsageError


def test_the_papers_categories_ask_the_questions_of_its_table_2():
    asked = {key: [question.text for question in CATEGORIES[key].questions] for key in PAPER}
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


def write(tmp_path, text):
    path = tmp_path / "counterveil.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_adds_categories_and_adapts_the_built_in_ones(tmp_path):
    path = write(
        tmp_path,
        """
        attribution = "gradcam"
        [[category]]
        key = "logos"
        title = "Logos"
        classifier = "zeroshot:some/model#a logo"
        threshold = 1
        questions = ["Is there a logo?", {key = "many", text = "Is there more than one?"}]
        [[category]]
        key = "self_harm"
        classifier = "hub:some/model#bad"
        """,
    )
    logos, self_harm = read_toml(path, beside=["attribution"])
    assert logos.questions == (
        Question("q_is_there_a_logo", "Is there a logo?"),
        Question("many", "Is there more than one?"),
    )
    assert logos.threshold == 1
    assert self_harm == dataclasses.replace(
        CATEGORIES["self_harm"], classifier="hub:some/model#bad"
    )


TABLE = '[[category]]\nkey="x"\ntitle="X"\nclassifier="pictograms:x"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TABLE + "threshhold=0.4",
            r"number 1: unknown key 'threshhold'; did you mean 'threshold'\?",
        ),
        (TABLE + "zzz=0.4", r"unknown key 'zzz'; allowed: key, title, .*classifier"),
        (TABLE + "threshold='high'", "'threshold' must be a number, got 'high'"),
        (TABLE + "threshold=true", "'threshold' must be a number"),
        (TABLE + "threshold=0", "above 0 and at most 1"),
        (TABLE + "threshold=nan", "above 0 and at most 1"),
        (TABLE + "questions='Why?'", "'questions' must be a list"),
        (TABLE + "questions=[3]", "a question is a string, or a table"),
        (TABLE + "questions=['Why?', 'Why?']", "two questions have the key 'q_why'"),
        (TABLE + TABLE, "two categories have the key 'x'"),
        (TABLE.replace("pictograms:x", "x"), "scheme:argument"),
        (TABLE.replace('"x"', '"Not good"'), r"\[a-z\]\[a-z0-9_\]\*"),
        ('[[category]]\nkey="x"\ntitle="X"', "'classifier' is missing"),
        ("[[categories]]\nkey='x'", "unknown key 'categories'; did you mean 'category'"),
        ("[category]\nkey='x'", r"no \[\[category\]\] table"),
        ("category = [1]", "expected a table, got 1"),
        ("", r"no \[\[category\]\] table"),
        ("key = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_place_and_what_is_allowed(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_toml(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_toml(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_toml(binary)


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
