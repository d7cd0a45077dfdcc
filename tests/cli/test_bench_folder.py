"""``counterveil bench cse --data FOLDER``: all that only a folder has."""

from __future__ import annotations

import json
import re

import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.lab.benchmarks import bench_cse, sizes
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.image_folder import FolderOptions, ImageFolder
from tests.lab.benchmarks.fakes import picture

FAKES = "python:tests.lab.benchmarks.fakes:"
PARTS = ["paper", "released", "stability", "false-alarms"]


@pytest.fixture(scope="module")
def reds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reds") / "reds"
    folder.mkdir()
    for number in range(1, 5):
        image = picture(96, red=False)
        image[20:26, 30 : 30 + 2 * number] = (230, 10, 10)
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "reds.toml"
    path.write_text(
        f'[[category]]\nkey = "reds"\ntitle = "Reds"\nclassifier = "{FAKES}make"\n'
        "threshold = 0.9\nwarn_threshold = 0.3\n"
    )
    return path


@pytest.fixture(scope="module")
def measured(reds, profile, tmp_path_factory):
    """Results, page and folder of one run with every option."""
    out = tmp_path_factory.mktemp("out")
    words = ["bench", "cse", "--data", str(reds), "--highest", "3", "--profile", str(profile)]
    words += ["--judge", f"{FAKES}make", "--boxes", f"{FAKES}make_detector"]
    words += [word for part in PARTS for word in ("--part", part)]
    words += ["--picture", str(out / "before after.jpg"), "--sheet", str(out / "sheet.jpg")]
    words += [
        "--not-shown",
        "3.png",
        "--source",
        "Drawn.",
        "--out",
        str(out / "x.json"),
        "--markdown",
        str(out / "x.md"),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return json.loads((out / "x.json").read_text()), (out / "x.md").read_text(), out


def test_released_files_are_counted_by_outcome(measured):
    results, page, _ = measured
    released = results["released"]
    assert released["outcomes"] == {"veiled": 3}
    assert released["verified"]["mean"] == 1
    assert released["relative_area"]["mean"] > 0 and released["relative_milliseconds"]["n"] == 3
    assert [row["name"] for row in released["photographs"]] == ["4.png", "3.png", "2.png"]
    assert "| Veiled and verified | 3 |" in page
    assert results["images"]["threshold"] == pytest.approx(0.479, abs=1e-3)
    assert "Source of the images: Drawn." in page


def test_a_veil_has_its_figures_beside_the_papers_columns(measured):
    results, page, _ = measured
    rows = list(results["counterfactuals"]["released"])
    assert len(rows) == 3 and "the paper" in rows[0]
    assert set(results["veils"]) >= set(rows)
    for name in rows:
        row = results["veils"][name]
        assert row["shape"]["images"] == 3 and row["shape"]["median_pieces"] >= 1
        assert 0 < row["shape"]["circularity"]["mean"] <= 1
        assert 0 < row["boxes"]["coverage"]["mean"] <= 1
        transfer = row["transfer"][f"{FAKES}make"]
        assert transfer["fall"]["mean"] > transfer["random_fall"]["mean"]
    for title in ("Shape of the veils", "Transfer to other classifiers", "Coverage of boxes"):
        assert f"## {title}" in page


def test_copies_and_false_alarms_are_told(measured):
    results, page, _ = measured
    assert results["stability"]["images"] == 3
    alarms = results["false-alarms"]["reds"]["reds"]
    assert (alarms["images"], alarms["flagged"], alarms["warned"]) == (4, 1, 2)
    assert "| reds | reds | 4 | 0.9 | 1 (25.0 %) | 0.3 | 2 (50.0 %) |" in page
    assert "## Stability" in page and "| JPEG 80 |" in page


def test_pictures_are_written_and_linked(measured):
    _, page, out = measured
    assert set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", page)) == {"before%20after.jpg", "x.svg"}
    for name in ("before after.jpg", "sheet.jpg"):
        with Image.open(out / name) as opened:
            assert opened.format == "JPEG"
    assert "1 harmless images" in page
    with Image.open(out / "before after.jpg") as shown, Image.open(out / "sheet.jpg") as sheet:
        assert shown.width < sheet.width
    assert len(list(out.glob("*.partial*"))) == 1, "kept, so that other pictures can be drawn"
    assert str(out.parent) not in page + json.dumps(measured[0]), "a path of this machine"


def test_steps_are_counted_and_a_second_run_measures_nothing(reds, profile, tmp_path):
    size = sizes.select_parts(sizes.QUICK, PARTS)
    options = FolderOptions(highest=2, profiles=(str(profile),))

    def run(resume):
        steps = []
        folder = ImageFolder(reds, f"{FAKES}make", device="cpu", options=options)
        checkpoint = Checkpoint(
            tmp_path / "x.jsonl", folder.settings(), resume=resume, step=lambda: steps.append(1)
        )
        results = bench_cse.run(size, device="cpu", checkpoint=checkpoint, folder=folder)
        assert len(steps) == bench_cse.step_count(size, folder=folder)
        return results

    assert run(False) == run(True), "even the times are those of the first run"


def test_parts_of_a_folder_need_one():
    with pytest.raises(UsageError, match="--data"):
        bench_cse.run(sizes.select_parts(sizes.QUICK, ["stability"]), device="cpu")


def test_photographs_are_released_by_a_profile_with_judges(tmp_path):
    """Two harmless photographs; few images are scored, so that this stays short."""
    photos, profile = tmp_path / "photos", tmp_path / "short.toml"
    photos.mkdir()
    for name in ("astronaut", "coffee"):
        photograph = Image.fromarray(getattr(data, name)())
        photograph.thumbnail((96, 96))
        photograph.save(photos / f"{name}.png")
    profile.write_text(
        'max_evaluations = 24\ncompletion = "none"\n[[category]]\nkey = "nsfw"\n'
        'title = "Nsfw"\nclassifier = "open_nsfw:1"\njudges = ["open_nsfw:2"]\n'
    )
    options = FolderOptions(highest=1, judges=("open_nsfw:1",), profiles=(str(profile),))
    folder = ImageFolder(photos, device="cpu", options=options)
    results = bench_cse.run(
        sizes.select_parts(sizes.QUICK, ["released"]), device="cpu", folder=folder
    )
    assert results["measured"]["classifier"] == "open_nsfw:1"
    assert (results["images"]["read"], results["images"]["flagged"]) == (2, 1)
    assert results["released"]["judges"] == ["open_nsfw:2"]
    assert results["released"]["verified"]["mean"] == 1
    assert len(results["counterfactuals"]["released"]) == 3
