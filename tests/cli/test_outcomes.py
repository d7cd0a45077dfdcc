"""Every outcome of ``counterveil run``: what the page about them promises, the command does."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterveil.images import encode_png
from counterveil.outcomes import OUTCOMES, SKIPPED, ExitStatus
from counterveil.record import validate
from counterveil.types import ModelInfo
from tests.hidden import exif_with_thumbnail
from tests.pipeline.detectors import square

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "outcomes.md"

PROFILE = """
attribution = "occlusion"
segmentation = "slic"
max_frames = 2

[[category]]
key = "red"
title = "Red squares"
classifier = "python:{}"
"""
RED = "tests.pipeline.detectors:make_red"
SLOW = "tests.pipeline.detectors:make_slow"
BLUE_SQUARE = square((20, 20, 220))


class Always:
    """Scores the same for every image."""

    info = ModelInfo("always", "1")

    def score(self, images):
        return np.full(len(images), 0.9)


class UnlessEmpty:
    """Sees something in every image that is not of one colour."""

    info = ModelInfo("unless-empty", "1")

    def score(self, images):
        return np.where(np.ptp(images, axis=(1, 2, 3)) > 0, 0.9, 0.1)


class Fails:
    """A model whose server is gone."""

    info = ModelInfo("fails", "1")

    def score(self, images):
        raise RuntimeError("the model is gone")


class EndsItsProcess:
    """What the kernel does to a process that takes too much memory."""

    info = ModelInfo("ends", "1")

    def score(self, images):
        os.kill(os.getpid(), signal.SIGKILL)


def picture(folder: Path) -> None:
    (folder / "a.png").write_bytes(encode_png(square()))


def clean_picture(folder: Path) -> None:
    (folder / "a.png").write_bytes(encode_png(BLUE_SQUARE))


def animation(folder: Path) -> None:
    frames = [Image.fromarray(np.roll(BLUE_SQUARE, n, axis=1)) for n in range(5)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)


def broken_picture(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")


def picture_and_text(folder: Path) -> None:
    clean_picture(folder)
    (folder / "notes.txt").write_text("not a picture")


def flagged_thumbnail(folder: Path) -> None:
    """A clean JPEG whose EXIF thumbnail is not clean."""
    encoded = io.BytesIO()
    Image.fromarray(square()).save(encoded, "JPEG", quality=95)
    exif = exif_with_thumbnail(encoded.getvalue())
    Image.fromarray(BLUE_SQUARE).save(folder / "a.jpg", exif=exif)


CASES = {
    "disputed": (picture, RED + f'"\njudges = ["python:{__name__}:Always"]\n#', ()),
    "left_out": (flagged_thumbnail, RED, ()),
    "clean": (clean_picture, RED, ()),
    "veiled": (picture, RED, ()),
    "veiled_whole": (picture, f"{__name__}:UnlessEmpty", ()),
    "not_verified": (picture, f"{__name__}:Always", ()),
    "partial": (animation, RED, ()),
    "partial: no reasoner": (
        clean_picture,
        RED,
        ("--reasoner", "chat:http://127.0.0.1:9/v1#no-model"),
    ),
    "not_assessed": (picture, f"{__name__}:Fails", ()),
    "failed": (broken_picture, RED, ()),
    "skipped": (picture_and_text, RED, ()),
    "usage": (picture, RED, ("--margin", "2")),
    "machine: memory": (picture, f"{__name__}:EndsItsProcess", ("--workers", "2")),
}


def promised() -> dict[str, tuple[int, str, str]]:
    """Key of each row of the page: exit status, line on the terminal, status of the record."""
    rows = {}
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            key, status, printed, record = [cell.strip() for cell in line.strip()[1:-1].split("|")]
            rows[key.strip("`")] = (int(status), printed.strip("`"), record.strip("`"))
    return rows


PROMISED = promised()


def start(tmp_path: Path, classifier: str, *words: str, **options) -> subprocess.Popen:
    (tmp_path / "red.toml").write_text(PROFILE.format(classifier))
    command = [sys.executable, "-m", "counterveil", "run", "in", "--out", "out",
               "--profile", "red.toml", *words]  # fmt: skip
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def records_of(out: Path) -> list[dict]:
    lines = out / "records.jsonl"
    return [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []


def test_the_page_has_every_outcome_and_every_exit_status():
    keys = {key.partition(":")[0] for key in PROMISED}
    assert keys >= {*OUTCOMES, SKIPPED}
    assert {status for status, _, _ in PROMISED.values()} == set(ExitStatus)
    assert set(PROMISED) == {*CASES, "machine: disk", "interrupted"}
    for key, found in OUTCOMES.items():
        status, _, record = PROMISED[key]
        assert (status, record) == (found.exit_status, found.status)


@pytest.mark.parametrize("case", CASES)
def test_the_command_does_what_the_page_says(tmp_path, case):
    write, classifier, words = CASES[case]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    status, printed, record_status = PROMISED[case]
    process = start(tmp_path, classifier, *words)
    _, errors = process.communicate()
    assert printed in errors.replace("\n", " "), errors
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    assert "Warning" not in errors
    found = records_of(tmp_path / "out")
    assert [record["status"] for record in found] == ([record_status] if record_status else [])
    for record in found:
        validate(record)
        assert (tmp_path / "out" / f"{record['output_name']}.json").is_file()
        assert (record["outputs"] is None) == (record_status in ("error", "not_assessed"))
        assert bool(record["not_assessed"]) == (record_status == "partial")
        assert record["settings"]["margin"] == 0.4
    assert (tmp_path / "out" / "report.html").exists() == (status not in (2, 4))


def many(folder: Path, count: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for n in range(count):
        pixels = rng.integers(0, 80, (40, 60, 3), np.uint8)
        (folder / f"{n:02}.png").write_bytes(encode_png(pixels))


def finish(tmp_path: Path, count: int, classifier: str = RED) -> None:
    """Go on, and check that every image has one record."""
    process = start(tmp_path, classifier, "--resume")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert [record["output_name"] for record in records_of(tmp_path / "out")] == [
        f"{n:02}" for n in range(count)
    ]


def test_a_full_disk_ends_a_run_that_can_go_on(tmp_path):
    many(tmp_path / "in", 6)
    limit = 15_000  # of the size of a file: the system refuses what is longer, as a full disk does

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start(tmp_path, RED, preexec_fn=small_disk)
    _, errors = process.communicate()
    status, printed, _ = PROMISED["machine: disk"]
    assert process.returncode == status, errors
    assert re.search(re.escape(printed).replace("N", r"\d"), errors), errors
    assert "Traceback" not in errors
    found = records_of(tmp_path / "out")
    assert 0 < len(found) < 6
    finish(tmp_path, 6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on(tmp_path, number):
    many(tmp_path / "in", 40)
    process = start(tmp_path, SLOW)
    records = tmp_path / "out" / "records.jsonl"
    while process.poll() is None and len(records_of(tmp_path / "out")) < 2:
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate()
    status, printed, _ = PROMISED["interrupted"]
    assert process.returncode == status, errors
    assert re.search(re.escape(printed).replace("N", r"\d+"), errors), errors
    assert 2 <= len(records.read_text().splitlines()) < 40
    finish(tmp_path, 40, SLOW)


def test_the_worst_outcome_decides(tmp_path):
    (tmp_path / "in").mkdir()
    animation(tmp_path / "in")
    broken_picture(tmp_path / "in")
    process = start(tmp_path, RED)
    _, errors = process.communicate()
    assert process.returncode == ExitStatus.NOT_VERIFIED, errors
    assert "2 images: 1 failed, 1 assessed in part" in errors


def test_workers_write_what_one_process_writes(tmp_path):
    many(tmp_path / "in", 8)
    (tmp_path / "in" / "03.png").write_bytes(encode_png(square()))
    (tmp_path / "in" / "05.png").write_bytes(b"broken")
    found = []
    for words in ((), ("--workers", "2", "--overwrite")):
        process = start(tmp_path, RED, *words)
        _, errors = process.communicate()
        assert process.returncode == 1, errors
        out = tmp_path / "out"
        pictures = {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}
        records = [
            {k: v for k, v in record.items() if k not in ("created", "timing_ms")}
            for record in records_of(out)
        ]
        found.append((pictures, records))
    assert found[0] == found[1]
