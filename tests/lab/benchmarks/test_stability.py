"""Copies of a picture, and how their veils are compared."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from counterveil import profiles
from counterveil.categories import Category
from counterveil.config import Config
from counterveil.lab.benchmarks.stability import (
    copies,
    measure_stability,
    summarise_stability,
)
from tests.lab.benchmarks.fakes import picture

NAMES = ["PNG", "JPEG 95", "JPEG 90", "JPEG 80", "0.9 of the size"]


def test_copies_are_the_same_picture():
    photograph = data.astronaut()
    found = copies(photograph)
    assert list(found) == NAMES
    opened = {name: Pillow.open(io.BytesIO(each)) for name, each in found.items()}
    assert [each.format for each in opened.values()] == ["PNG", "JPEG", "JPEG", "JPEG", "PNG"]
    assert opened["0.9 of the size"].size == (461, 461)
    np.testing.assert_array_equal(np.asarray(opened["PNG"]), photograph)
    errors = [
        float(np.abs(np.asarray(opened[name]).astype(float) - photograph).mean())
        for name in NAMES[1:4]
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 6


def test_a_veil_is_compared_with_that_of_the_png():
    category = Category("reds", "Reds", classifier="python:tests.lab.benchmarks.fakes:make")
    pipeline = profiles.load(Config(categories=(category,)))
    found = measure_stability(pipeline, picture(96))
    assert list(found["areas"]) == list(found["iou"]) == NAMES
    assert found["iou"]["PNG"] == 1
    assert 0 < found["areas"]["PNG"] < 0.5
    assert found["iou"]["0.9 of the size"] > 0.3


def test_shares_and_medians_over_images():
    def item(areas, iou):
        return {
            "areas": dict(zip("PQR", areas, strict=True)),
            "iou": dict(zip("PQR", iou, strict=True)),
        }

    def named(each):
        names = {"P": "PNG", "Q": "JPEG 90", "R": "0.9 of the size"}
        return {key: {names[k]: v for k, v in row.items()} for key, row in each.items()}

    items = [
        named(item((0.10, 0.12, 0.13), (1, 0.8, 0.9))),
        named(item((0.10, 0.20, 0.10), (1, 0.5, 0.7))),
        named(item((0.10, 0.00, 0.10), (1, 0.0, 0.6))),
    ]
    found = summarise_stability(items)
    assert found["images"] == 3
    assert found["stable"]["mean"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["median_iou"] == pytest.approx(0.65)
    assert found["copies"]["JPEG 90"]["not_flagged"] == 1
    assert found["copies"]["JPEG 90"]["median_iou"] == 0.5
