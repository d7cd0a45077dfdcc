"""A scene hidden in each way in which viewers show a file: the file is flagged."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.images import decode_clean
from counterveil.record import validate
from tests.hidden import hidden_scenes
from tests.pipeline.detectors import RED, ColourDetector, make_pipeline, scored, square

WHITE = np.full((96, 128, 3), 255, np.uint8)
FILES = hidden_scenes(square(image=WHITE.copy()), WHITE)


@pytest.mark.parametrize("name", FILES)
def test_a_hidden_scene_is_flagged_and_not_released(name):
    made = make_pipeline(scored("red", ColourDetector(RED)), segmentation="slic", search="greedy")
    examination = made.examine(FILES[name], name=name)
    record = examination.record
    validate(record.to_dict())
    assert record.status == "ok", record.not_assessed or record.error
    assert [category.flagged for category in record.categories] == [True]
    assert ColourDetector(RED).score(decode_clean(examination.veiled)[None])[0] < 0.5
