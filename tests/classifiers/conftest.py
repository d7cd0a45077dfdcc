"""A photograph with one face, which several detectors are tried on."""

from __future__ import annotations

import pytest
import skimage.data


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()
