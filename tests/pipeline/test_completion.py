"""Veils completed within a foreground, and what the record says where none is known."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from counterveil.images.encode import encode_png
from counterveil.pipeline import Pipeline
from counterveil.types import ModelInfo
from tests.pipeline.detectors import RED, make_pipeline, scored, square
from tests.pipeline.test_pipeline import Left, veil_of

BAR = (slice(30, 54), slice(40, 104))


class Upper:
    """Calls everything above a row an object."""

    info = ModelInfo("python:tests:upper", "1")

    def __init__(self, row: int) -> None:
        self._row = row

    def __call__(self, image, *, core_mask):
        assert core_mask.shape == image.shape[:2] and core_mask.any()
        foreground = np.zeros(image.shape[:2], np.float32)
        foreground[: self._row] = 1
        return foreground


def bar():
    image = square()
    image[BAR] = RED
    return image


def examined(image=None, finder=None, **options):
    made = make_pipeline(scored("left", Left(RED)), **options)
    components = replace(made.components, segmenter=finder)
    pipeline = Pipeline(made.classifiers, components, config=made.config)
    return pipeline.examine(encode_png(bar() if image is None else image))


@pytest.fixture(scope="module")
def core():
    return veil_of(examined(completion="none"))


def test_a_veil_grows_within_the_foreground_only(core):
    examination = examined(finder=Upper(42), completion="foreground")
    added = veil_of(examination) & ~core
    assert added.any()
    assert not added[42:].any()
    record = examination.record
    assert record.categories[0].counterfactual.completed_fraction == pytest.approx(added.mean())
    assert "python:tests:upper" in [model.name for model in record.models]
    assert not [warning for warning in record.warnings if "installed" in warning]


def test_on_the_background_nothing_is_added(core):
    found = veil_of(examined(finder=Upper(5), completion="foreground"))
    assert (found == core).all()


def test_without_the_segmenter_colour_is_bounded_and_the_record_says_so(core):
    examination = examined(completion="foreground")
    assert core.sum() <= veil_of(examination).sum() <= 3 * core.sum()
    (warning,) = [each for each in examination.record.warnings if "not installed" in each]
    assert "u2netp:" in warning and "pip install" in warning


def test_no_warning_where_nothing_is_veiled_or_no_segmenter_was_asked_for():
    plain = np.full((96, 128, 3), 90, np.uint8)
    for options in (
        {"image": plain, "completion": "foreground"},
        {"completion": "foreground", "segmenter": ""},
        {"completion": "colour"},
    ):
        assert not [each for each in examined(**options).record.warnings if "install" in each]


def test_a_missing_package_is_no_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "rembg", None)
    pipeline = make_pipeline(scored("left", Left(RED)), completion="foreground")
    assert pipeline.components.segmenter is None
    assert pipeline.examine(encode_png(bar())).record.status == "ok"
