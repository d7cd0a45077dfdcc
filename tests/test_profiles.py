from __future__ import annotations

from pathlib import Path

import pytest

from counterveil.errors import ModelError, UsageError
from counterveil.profiles import (
    PROFILES,
    Overrides,
    from_profile,
    methods,
    profile,
    with_overrides,
)

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
    assert chosen.settings.max_regions == 4
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
        ("target = nan", "'target' must be a number above 0"),
        ("max_pixels = 0", "'max_pixels' must be a whole number above 0"),
        ('guided = "yes"', "'guided' must be true or false"),
        ("guidance = 0.5", "'guidance' must be a table"),
        ("guidance = { logos = 1.5 }", "each with a number from 0 to 1"),
        ("guidance = { logos = true }", "each with a number from 0 to 1"),
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
    assert changed.settings.max_evaluations == base.settings.max_evaluations


def test_the_papers_search_keeps_whole_regions():
    base = PROFILES["proxy"]
    assert methods(base).refinement_labels is not None
    assert methods(with_overrides(base, Overrides(search="greedy"))).refinement_labels is None


def test_a_segmentation_with_a_network_runs_where_the_models_do():
    base = with_overrides(PROFILES["proxy"], Overrides(segmentation="sam"))
    assert methods(base, device="cuda:1").segmentation.method.device == "cuda:1"
    assert methods(base).segmentation.method.device == "cpu"


def test_guidance_and_limits_are_read_from_a_file(tmp_path):
    text = """
guided = true
max_bytes = 1000
max_pixels = 600_000_000

[guidance]
logos = 0.5
"""
    settings = profile(written(tmp_path, text)).settings
    assert settings.guided
    assert settings.guidance == {"logos": 0.5}
    assert (settings.limits.bytes, settings.limits.pixels) == (1000, 600_000_000)
    assert settings.limits.total_pixels >= 600_000_000, "one frame of the size allowed"
    assert settings.limits.scan_pixels >= 12 * 600_000_000, "and progressive"


def leaves():
    """A factory that ends the program, as a script does that is imported as a module."""
    raise SystemExit(4)


def test_code_that_ends_the_program_while_it_is_loaded_is_a_model_that_cannot_be(tmp_path):
    path = written(tmp_path, "")
    Path(path).write_text(CATEGORY.replace("python:a:b", "python:tests.test_profiles:leaves"))
    with pytest.raises(ModelError, match=r"leaves: tried to end the program .*SystemExit: 4"):
        from_profile(path)


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "meta", ""])
def test_a_device_that_is_none_is_refused_before_anything_is_loaded(device):
    with pytest.raises(UsageError, match="no device is called"):
        from_profile("proxy", device=device)
