"""One configuration: defaults, TOML files, errors that say what is allowed."""

from __future__ import annotations

import dataclasses

import pytest

from counterveil.categories import CATEGORIES, Question
from counterveil.config import Config, make_config, read_config, to_toml
from counterveil.errors import UsageError
from counterveil.profiles import PROFILES

CATEGORY = """
[[category]]
key = "logos"
title = "Logos"
classifier = "python:a:b"
"""


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def test_options_are_read_from_a_file(tmp_path):
    text = """
attribution = "gradcam"
margin = 0.2
max_regions = 4
completion = "none"
reasoner = "blip:x"

[guidance]
logos = 0.5
"""
    config = read_config(written(tmp_path, text + CATEGORY))
    assert config.name == "mine"
    assert config.attribution == "gradcam"
    assert config.reasoner == "blip:x"
    assert config.margin == 0.2
    assert config.max_regions == 4
    assert config.completion == "none"
    assert config.guidance == {"logos": 0.5}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('margin = "low"', "'margin' must be a number of at least 0 and below 1, got 'low'"),
        ("margin = -0.1", "'margin' must be a number of at least 0"),
        ("margin = 1", "'margin' must be a number of at least 0 and below 1, got 1"),
        ("margin = nan", "'margin' must be a number of at least 0"),
        ("margin = true", "'margin' must be a number of at least 0"),
        ("target = 0.3", "unknown key 'target'; write margin = 1 - target / threshold instead"),
        ("max_regions = 2.5", "'max_regions' must be a whole number of at least 1"),
        ("max_frames = true", "'max_frames' must be a whole number"),
        ("max_pixels = 0", "'max_pixels' must be a whole number of at least 1"),
        ("max_evaluations = 1", "'max_evaluations' must be a whole number of at least 2"),
        ("completion = true", "'completion' must be one of none, colour, foreground"),
        ("guided_segmentation = 1", "'guided_segmentation' must be true or false"),
        ("fill = 3", "'fill' must be a string"),
        ('fill = "blur:1/100"', "'fill': blur:1/100 is out of range"),
        ('search = "magic"', "'search' must be one of greedy, minimal, .*, got 'magic'"),
        ("completoin = true", "unknown key 'completoin'; did you mean 'completion"),
        ("guidance = 0.5", "'guidance' must be a table"),
        ('reasoner="x"\nguidance = { logos = 1.5 }', "with a number from 0 to 1"),
        ('reasoner="x"\nguidance = { logos = true }', "with a number from 0 to 1"),
        ('reasoner="x"\nguidance = { logo = 1 }', "guidance names 'logo'; the categories are log"),
        ("guidance = { logos = 1 }", "guidance needs a reasoner; set the option reasoner"),
        ("veil_answers = true", "veil_answers needs a reasoner"),
    ],
)
def test_a_wrong_option_is_refused_with_file_key_and_what_is_allowed(tmp_path, line, message):
    path = written(tmp_path, line + CATEGORY)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))


def test_all_errors_of_a_file_are_told_at_once(tmp_path):
    path = written(tmp_path, "margin = 2\nmax_regions = 0" + CATEGORY)
    with pytest.raises(UsageError, match=r"'margin' .*; 'max_regions' "):
        read_config(path)


def test_a_file_adds_categories_and_changes_built_in_ones(tmp_path):
    text = """
[[category]]
key = "logos"
title = "Logos"
classifier = "zeroshot:some/model#a logo"
threshold = 1
questions = ["Is there a logo?", {key = "many", text = "Is there more than one?"}]
[[category]]
key = "self_harm"
classifier = "hub:some/model#bad"
"""
    logos, self_harm = read_config(written(tmp_path, text)).categories
    assert logos.questions == (
        Question("q_is_there_a_logo", "Is there a logo?"),
        Question("many", "Is there more than one?"),
    )
    assert logos.threshold == 1
    assert self_harm == dataclasses.replace(
        CATEGORIES["self_harm"], classifier="hub:some/model#bad"
    )


TABLE = '[[category]]\nkey="x"\ntitle="X"\nclassifier="python:a:b"\n'


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
        (TABLE.replace("python:a:b", "x"), "scheme:argument"),
        (TABLE.replace('"x"', '"Not good"'), r"\[a-z\]\[a-z0-9_\]\*"),
        ('[[category]]\nkey="x"\ntitle="X"', "'classifier' is missing"),
        ("[[categories]]\nkey='x'", "unknown key 'categories'; did you mean 'category'"),
        ("[category]\nkey='x'", r"no \[\[category\]\] table"),
        ("category = [1]", "expected a table, got 1"),
        ("", r"no \[\[category\]\] table"),
        ("key = ", "not valid TOML"),
        ("a = " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_wrong_category_is_refused_with_its_place_and_what_is_allowed(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        read_config(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_config(binary)


@pytest.mark.parametrize("name", PROFILES)
def test_a_printed_configuration_is_read_back_as_it_was(tmp_path, name):
    config = make_config(PROFILES[name], reasoner="blip:x", guidance={})
    path = tmp_path / f"{name}.toml"
    path.write_text(to_toml(config), "utf-8")
    assert read_config(path).model_dump() == config.model_dump()


def test_limits_on_a_file_grow_with_those_on_a_frame():
    limits = Config(max_bytes=1000, max_pixels=600_000_000).limits()
    assert (limits.bytes, limits.pixels) == (1000, 600_000_000)
    assert limits.total_pixels >= 600_000_000, "one frame of the allowed size"
    assert limits.scan_pixels >= 12 * 600_000_000, "and progressive"


def test_every_option_is_described_in_a_sentence():
    for name, field in Config.model_fields.items():
        assert field.description and field.description.endswith("."), name
