"""Everything that can be examined, and what cannot."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from counterveil.errors import CounterveilError
from counterveil.images import decode_clean, encode_png
from counterveil.pipeline.source import open_source
from tests.pipeline.detectors import RED, ColourDetector, make_pipeline, scored, square


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(scored("red", ColourDetector(RED)), segmentation="slic", search="greedy")


@pytest.fixture(scope="module")
def expected(pipeline):
    return pipeline.examine(encode_png(square()))


def path_of(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode_png(square()))
    return path


SOURCES = {
    "path": path_of,
    "string": lambda folder: str(path_of(folder)),
    "bytes": lambda folder: encode_png(square()),
    "bytearray": lambda folder: bytearray(encode_png(square())),
    "open file": lambda folder: path_of(folder).open("rb"),
    "buffer": lambda folder: io.BytesIO(encode_png(square())),
    "array": lambda folder: square(),
    "array with alpha": lambda folder: np.dstack([square(), np.full((96, 128), 255, np.uint8)]),
    "PIL image": lambda folder: Image.fromarray(square()),
    "opened PIL image": lambda folder: Image.open(path_of(folder)),
    "PIL image of another mode": lambda folder: Image.fromarray(square()).convert("RGBX"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_veiled_pixels(pipeline, expected, tmp_path, kind):
    source = SOURCES[kind](tmp_path)
    examination = pipeline.examine(source)
    assert examination.record.status == "ok"
    assert (decode_clean(examination.veiled) == decode_clean(expected.veiled)).all()
    named = kind in ("path", "string", "open file")
    assert examination.record.source.name == ("photo.png" if named else "image")
    given_as_pixels = ("array" in kind and kind != "bytearray") or "PIL" in kind
    assert bool(examination.record.source.notes) >= given_as_pixels
    if isinstance(source, io.IOBase):
        source.close()


def test_orientation_of_a_pil_image_is_applied(pipeline):
    image = Image.fromarray(square())
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    record = pipeline.examine(Image.open(buffer)).record
    assert (record.source.width, record.source.height) == (96, 128)


def test_a_list_gives_a_list(pipeline, tmp_path):
    found = pipeline.examine([square(), path_of(tmp_path), b"no image"])
    assert [each.record.status for each in found] == ["ok", "ok", "error"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "cannot examine int; give a path, bytes, a binary file object, a NumPy array"),
        (None, "cannot examine NoneType"),
        (io.StringIO("text"), "returned str; open the file in binary mode"),
        (np.zeros((3, 4, 3)), r"must be uint8 .*, got float64 \(3, 4, 3\)"),
        (np.zeros((3, 4, 2), np.uint8), r"got uint8 \(3, 4, 2\)"),
        (np.zeros(3, np.uint8), r"got uint8 \(3,\)"),
    ],
)
def test_anything_else_is_a_type_error_that_names_what_is_accepted(source, message):
    with pytest.raises(TypeError, match=message) as caught:
        open_source(source)
    assert isinstance(caught.value, CounterveilError)
