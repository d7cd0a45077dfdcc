from __future__ import annotations

import pytest

from counterveil.errors import UsageError
from counterveil.profiles import PROFILES, Overrides, methods, profile, with_overrides

CATEGORY = """
[[category]]
key = "logos"
title = "Logos"
classifier = "python:a:b"
"""


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text + CATEGORY)
    return str(path)


def test_settings_are_read_from_a_file(tmp_path):
    text = """
attribution = "gradcam"
target = 0.2
max_regions = 4
objects = false
reasoner = "blip:x"
"""
    chosen = profile(written(tmp_path, text))
    assert chosen.name == "mine"
    assert chosen.attribution == "gradcam"
    assert chosen.reasoner == "blip:x"
    assert chosen.settings.target == 0.2
    assert chosen.settings.budget.regions == 4
    assert not chosen.settings.objects


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('target = "low"', "'target' must be a number above 0 and at most 1"),
        ("target = 0", "'target' must be a number above 0"),
        ("max_regions = 2.5", "'max_regions' must be a whole number above 0"),
        ("max_frames = true", "'max_frames' must be a whole number"),
        ('objects = "no"', "'objects' must be true or false"),
        ("fill = 3", "'fill' must be a string"),
        ("objetcs = true", "did you mean 'objects'"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_with_what_is_right(tmp_path, line, words):
    with pytest.raises(UsageError, match=words):
        profile(written(tmp_path, line))


def test_an_unknown_profile_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="proxy, nudenet, hub"):
        profile("nothing")


def test_overrides_change_what_they_name_and_nothing_else():
    base = PROFILES["proxy"]
    assert with_overrides(base, Overrides()) == base
    changed = with_overrides(base, Overrides(search="greedy", target=0.5, objects=False))
    assert (changed.search, changed.settings.target, changed.settings.objects) == (
        "greedy", 0.5, False,
    )  # fmt: skip
    assert changed.categories == base.categories
    assert changed.settings.budget == base.settings.budget


def test_the_papers_search_keeps_whole_regions():
    base = PROFILES["proxy"]
    assert methods(base).finer is not None
    assert methods(with_overrides(base, Overrides(search="greedy"))).finer is None
