"""Profiles: names become pipelines."""

from __future__ import annotations

import pytest

from counterveil import attribution, search, segmentation
from counterveil.config import AttributionName, SearchName, SegmentationName
from counterveil.errors import ModelError, UsageError
from counterveil.profiles import PROFILES, find_profile, load, make_components

CATEGORY = """
[[category]]
key = "logos"
title = "Logos"
classifier = "python:a:b"
"""


@pytest.mark.parametrize(
    ("names", "registry"),
    [
        (AttributionName, attribution.ATTRIBUTIONS),
        (SegmentationName, segmentation.SEGMENTATIONS),
        (SearchName, search.SEARCHES),
    ],
)
def test_the_configuration_knows_every_method(names, registry):
    assert set(names.__args__) == set(registry)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="pictograms, nudenet, hub"):
        find_profile("nothing")


def test_options_change_what_they_name_and_nothing_else():
    base = PROFILES["pictograms"]
    assert find_profile("pictograms") == base
    changed = find_profile("pictograms", search="greedy", target=0.5, complete_objects=False)
    expected = {"search": "greedy", "target": 0.5, "complete_objects": False}
    assert changed == base.model_copy(update=expected)


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="unknown key 'traget'; did you mean 'target'"):
        load("pictograms", traget=0.5)


def test_the_papers_search_keeps_whole_regions():
    assert make_components(find_profile("pictograms")).refinement is not None
    assert make_components(find_profile("pictograms", search="greedy")).refinement is None


def test_a_segmentation_with_a_network_runs_on_the_models_device():
    for device in ("cuda:1", "cpu"):
        config = find_profile("pictograms", segmentation="sam", device=device)
        assert make_components(config).segmentation.method.device == device


def exits():
    """A factory that ends the program, as a script does that is imported as a module."""
    raise SystemExit(4)


def test_code_that_ends_the_program_while_it_is_loaded_is_a_model_error(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(CATEGORY.replace("python:a:b", "python:tests.test_profiles:exits"))
    with pytest.raises(ModelError, match=r"exits: tried to end the program .*SystemExit: 4"):
        load(str(path))


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "meta", ""])
def test_an_unknown_device_is_refused_before_anything_is_loaded(device):
    with pytest.raises(UsageError, match="no device is called"):
        load("pictograms", device=device)
