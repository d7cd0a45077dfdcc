"""A folder's highest images, its threshold, and the profile that its files are released with."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.contact_sheet import Pair, contact_sheet, every_second
from counterveil.lab.benchmarks.image_folder import FolderOptions, ImageFolder
from tests.lab.benchmarks import fakes
from tests.lab.benchmarks.fakes import RedClassifier, picture

SPEC = "python:tests.lab.benchmarks.fakes:make"
HIGHEST = FolderOptions(highest=3)


@pytest.fixture
def reds(tmp_path):
    """Files with 4, 8, 12, 16 and 20 red pixels, and one that is no image."""
    for number in range(1, 6):
        image = picture(red=False)
        image[8:12, 8 : 8 + number] = (230, 10, 10)
        Pillow.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def ranked(folder, options=HIGHEST, checkpoint=None):
    found = ImageFolder(folder, SPEC, device="cpu", options=options)
    found.rank(checkpoint or Checkpoint())
    return found


def test_the_highest_are_taken_and_all_of_them_are_flagged(reds):
    found = ranked(reds)
    items = found.flagged_images(found.classifier, 9)
    assert [item.score for item in items] == pytest.approx([0.4, 0.32, 0.24])
    assert [found.file_name(item) for item in items] == ["5.png", "4.png", "3.png"]
    assert found.path(items[0]) == reds / "5.png"
    threshold = found.classifier.category.threshold
    assert 0.23 < threshold < 0.24
    assert all(found.classifier.classifier.score(x.image[None])[0] >= threshold for x in items)
    assert found.summary()["read"] == 5
    assert [item.score for item in found.flagged_images(found.classifier, 1)] == [items[0].score]


def test_each_file_is_scored_once_and_never_again_after_an_interruption(reds, monkeypatch):
    made = []
    monkeypatch.setattr(fakes, "make", lambda: made.append(RedClassifier()) or made[-1])
    path = reds.parent / f"{reds.name}.jsonl"
    found = ranked(reds, checkpoint=Checkpoint(path, {}))
    before = made[-1].images
    assert before == 5 + 3  # the reduced copies of the chosen ones
    assert found.scores(SPEC, Checkpoint()) == found.scores(SPEC, Checkpoint())
    assert made[-1].images == before
    ranked(reds, checkpoint=Checkpoint(path, {}, resume=True))
    assert made[-1].images == 3


def test_the_released_profile_has_the_moved_threshold(reds):
    category = ranked(reds).release_config().categories[0]
    assert category.classifier == SPEC and category.judges == ()
    assert category.threshold == category.judge_threshold < 0.24
    assert category.warn_threshold <= category.threshold


def test_judges_of_the_profile_stay_with_its_classifier(tmp_path):
    Pillow.fromarray(picture()).save(tmp_path / "a.png")
    found = ImageFolder(tmp_path, device="cpu", options=FolderOptions(highest=1))
    assert found.spec == "open_nsfw:"
    found.rank(Checkpoint())
    category = found.release_config().categories[0]
    assert category.judges == found.profile.categories[0].judges != ()
    assert category.judge_threshold == category.threshold
    assert found.settings()["options"]["highest"] == 1


def test_a_folder_without_any_score_is_refused(tmp_path):
    Pillow.fromarray(picture(red=False)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="scores above 0"):
        ranked(tmp_path)


def test_every_second_rank_is_shown():
    items = [{"name": str(index)} for index in range(40)]
    assert every_second(items) == list(range(0, 32, 2))
    assert every_second(items[:5]) == [0, 2, 4]
    assert every_second(items[:6], not_shown=["0", "3"]) == [1, 4]


def test_a_sheet_shows_each_pair():
    before = np.full((100, 300, 3), (0, 160, 0), np.uint8)
    after = np.full((300, 100, 3), (160, 0, 0), np.uint8)
    data = contact_sheet([Pair(before, after, "rank 1: score 0.91")] * 3)
    assert data.startswith(b"\xff\xd8") and len(data) < 1_000_000
    sheet = np.asarray(Pillow.open(io.BytesIO(data))).astype(int)
    green = (sheet[..., 1] > 130) & (sheet[..., 0] < 60)
    red = (sheet[..., 0] > 130) & (sheet[..., 1] < 60)
    assert green.sum() == pytest.approx(3 * 232 * 77, rel=0.05)
    assert red.sum() == pytest.approx(3 * 58 * 174, rel=0.05)
    assert sheet.shape[0] > 2 * 174
