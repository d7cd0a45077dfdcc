"""Examines one file of a corpus, and compares what is released with independent decoders.

It runs in a process of its own with limits on time and memory, so that a file that crashes it is
counted and no more. The examination is told first; when the process dies behind that, an
independent decoder is to blame.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from tests.pipeline.detectors import make_pipeline, scored

from counterveil.errors import ImageError
from counterveil.images import encode_png, load
from counterveil.images.signatures import detect_format
from counterveil.pipeline import Examination, Pipeline
from counterveil.pipeline.components import NamedMethod
from counterveil.record import validate
from counterveil.types import Frame, Image, Images, Labels, ModelInfo, Scores
from independent import DECODERS, REFUSED, NotComparableError, published

FILL = (123, 63, 17)
"""A colour that no corpus is full of, so that a veil is told from the picture."""
RUN = 32
"""Bytes in a row that two files do not share by chance."""
COMPARED_VIEWS = ("", "on black", "alpha ignored")
PUBLISHED = "published picture"


class CentreDetector:
    """Flags every picture, until most of its middle is veiled.

    Scores differ a little from picture to picture, so that any frame and view may be released.
    """

    info = ModelInfo("python:benchmarks:centre", "1")

    def score(self, images: Images) -> Scores:
        height, width = images.shape[1:3]
        middle = images[:, height // 3 : height - height // 3, width // 3 : width - width // 3]
        shown = (middle != FILL).any(axis=-1).mean(axis=(1, 2))
        return shown * [0.9 + 0.1 * (zlib.crc32(image) % 997) / 997 for image in images]


def grid(image: Image, **_: object) -> Labels:
    """Regions of nine rows and columns, of any picture: most of it stays to be compared."""
    rows, columns = (np.arange(side) * 9 // side for side in image.shape[:2])
    labels = rows[:, None] * 9 + columns
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def detecting_pipeline() -> Pipeline:
    """The whole pipeline, with parts that need no time."""
    made = make_pipeline(
        scored("centre", CentreDetector()), search="greedy", fill="#" + bytes(FILL).hex()
    )
    made.components = replace(made.components, segmentation=NamedMethod("grid", grid))
    validate(made.examine(b"").record.to_dict())  # loads what is loaded late
    return made


PIPELINE = detecting_pipeline()


def serve(memory: int, asked: Connection) -> None:
    """Answer each path with two dictionaries: the examination, then the comparison.

    Args:
        memory: most bytes of address space that the process may take beside what it holds now.
        asked: receives paths, and sends the answers.
    """
    limit_memory(memory)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        while True:
            path = asked.recv()
            data = path.read_bytes()
            os.ftruncate(printed.fileno(), 0)
            start = time.perf_counter()
            examination = PIPELINE.examine(data, name=path.name)
            seconds = time.perf_counter() - start
            sys.stdout.flush()
            asked.send(examined(data, examination, seconds, os.fstat(printed.fileno()).st_size))
            try:
                asked.send(compared(path, data, examination))
            except Exception as error:  # of a decoder that is not ours
                asked.send({"died": f"comparison: {type(error).__name__}: {error}"})


def limit_memory(more: int) -> None:
    status = Path("/proc/self/statm")
    if status.exists():
        held = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + more, held + more))


def examined(data: bytes, examination: Examination, seconds: float, printed: int) -> dict[str, Any]:
    record = examination.record
    validate(record.to_dict())
    return {
        "status": record.status,
        "error": record.error or "",
        "not_assessed": list(record.not_assessed),
        "format": record.source.format or format_of(data),
        "seconds": round(seconds, 3),
        "printed": printed,
    }


def format_of(data: bytes) -> str:
    """The format of a refused file; empty where it is none that is read."""
    try:
        return detect_format(data)
    except ImageError:
        return ""


def compared(path: Path, data: bytes, examination: Examination) -> dict[str, Any]:
    """What independent decoders say of the file and of what is released.

    ``readers`` can decode the first frame. ``faults`` are sentences on what must not be.
    ``frames`` compares every frame, ``released`` the safe pixels of the released file.
    """
    readers = [name for name in DECODERS if reads(name, data)]
    if examination.veiled is None or examination.mask is None:
        return {"readers": readers}
    frames = [frame for frame in load(data) if frame.released]
    veiled, mask, faults = check_released(examination)
    shown = released_frame(frames, examination)
    if not np.array_equal(veiled[~mask], shown.pixels[~mask]):
        faults.append("a safe pixel of the released file is not that of the decoded frame")
    faults += shared_run(data, examination.veiled)
    rows, released = [], []
    for name in (*DECODERS, PUBLISHED):
        if shown.view in COMPARED_VIEWS:
            released.append(beside(name, path, data, shown, veiled, ~mask))
        for frame in frames:
            if frame.view in COMPARED_VIEWS:
                whole = np.ones(frame.pixels.shape[:2], bool)
                rows.append(beside(name, path, data, frame, frame.pixels, whole))
    found = {"readers": readers, "faults": faults, "frames": rows, "released": released}
    return found | {"other_view": shown.view if shown.view not in COMPARED_VIEWS else ""}


def reads(name: str, data: bytes) -> bool:
    try:
        DECODERS[name](data, "", 0, 1)
    except NotComparableError as error:
        return str(error) != REFUSED
    return True


def check_released(
    examination: Examination,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pixels and mask as an independent decoder reads them, and what is wrong with them."""
    faults: list[str] = []
    veiled, masked = examination.veiled, examination.mask
    for name, file in (("veiled image", veiled), ("mask", masked)):
        faults += [f"the {name}: {fault}" for fault in png_faults(file)]
    pictures = {
        name: (decode(veiled, "PNG", 0, 1)[0], decode(masked, "PNG", 0, 1)[0])
        for name, decode in DECODERS.items()
    }
    (first, mask_picture), *others = pictures.values()
    for other, other_mask in others:
        if not np.array_equal(first.rgb, other.rgb) or not np.array_equal(
            mask_picture.rgb, other_mask.rgb
        ):
            faults.append("independent decoders read the released files differently")
    values = mask_picture.rgb[..., 0]
    if not np.isin(values, (0, 255)).all():
        faults.append("the mask holds values other than 0 and 255")
    mask = values == 255
    if not (first.rgb[mask] == FILL).all():
        faults.append("a veiled pixel is not the fill")
    if encode_png(np.ascontiguousarray(first.rgb)) != veiled:
        faults.append("the released file is not the encoding of its pixels alone")
    return first.rgb, mask, faults


def png_faults(file: bytes) -> Iterator[str]:
    """What a file holds beside one header, one stream of pixels and the end."""
    names, stream, position = [], b"", 8
    while position < len(file):
        size, name = struct.unpack(">I4s", file[position : position + 8])
        names.append(name)
        if name == b"IDAT":
            stream += file[position + 8 : position + 8 + size]
        position += size + 12
    if position != len(file) or set(names) != {b"IHDR", b"IDAT", b"IEND"}:
        yield f"its chunks are {sorted(set(names))}"
    unpacked = zlib.decompressobj()
    rows = unpacked.decompress(stream)
    width, height, depth, colour = struct.unpack(">IIBB", file[16:26])
    if unpacked.unused_data or not unpacked.eof:
        yield "bytes follow the compressed pixels"
    if len(rows) != height * (1 + width * depth // 8 * {0: 1, 2: 3}[colour]):
        yield "more is compressed than pixels"


def released_frame(frames: list[Frame], examination: Examination) -> Frame:
    """The frame that the record says was released."""
    source = examination.record.source
    named = {f"this is the view “{frame.view}”, which scored worst": frame.view for frame in frames}
    view = next((view for note, view in named.items() if note in source.notes), "")
    return next(f for f in frames if (f.frame, f.view) == (source.frame, view))


def beside(
    name: str, path: Path, data: bytes, frame: Frame, pixels: np.ndarray, where: np.ndarray
) -> dict[str, Any]:
    """Compare pixels with the closest of a decoder's renditions.

    Either ``why_not``, or the number of pixels that were compared (``pixels``), of those that
    differ by more than rounding (``wrong``), and the largest difference of a channel (``largest``).
    """
    row = {"decoder": name, "frame": frame.frame, "view": frame.view}
    try:
        if name == PUBLISHED:
            pictures = published(path, frame.frame, frame.frames)
        else:
            pictures = DECODERS[name](data, frame.format, frame.frame, frame.frames)
    except NotComparableError as error:
        return row | {"why_not": str(error)}
    notes = " ".join(frame.notes)
    turned = "orientation" in notes or frame.format == "AVIF"
    found = [
        difference(pixels[where], rendition[where], rounding(notes, picture.blended))
        for picture in pictures
        for rendition in picture.renditions(turned=turned)
        if rendition.shape == pixels.shape
    ]
    if not found:
        return row | {"why_not": "the decoder gives another size"}
    wrong, largest, _ = min(found, key=lambda each: each[2])
    return row | {"pixels": int(where.sum()), "wrong": wrong, "largest": largest}


def rounding(notes: str, blended: bool) -> int:
    """Levels by which programs differ that round as exactly as they can.

    Partly transparent pixels and 16 bits are rounded once, CMYK twice.
    """
    return 2 if "CMYK" in notes else int(blended or "16 bits" in notes)


def difference(ours: np.ndarray, theirs: np.ndarray, tolerance: int) -> tuple[int, int, int]:
    """Number of pixels over the tolerance, the largest difference of a channel, and the sum."""
    if np.array_equal(ours, theirs):
        return 0, 0, 0
    levels = np.maximum(ours, theirs) - np.minimum(ours, theirs)
    worst = levels.max(axis=-1, initial=0)
    return int((worst > tolerance).sum()), int(worst.max(initial=0)), int(levels.sum())


def shared_run(original: bytes, released: bytes) -> Iterator[str]:
    """Bytes in a row that the released file has in common with what is not pixels in the other."""
    if original.startswith(b"\x89PNG"):
        original = b"".join(chunks_of(original, without=(b"IDAT", b"fdAT", b"IHDR", b"IEND")))
    released = b"".join(chunks_of(released, without=(b"IHDR", b"IEND")))
    runs = {original[start : start + RUN] for start in range(len(original) - RUN + 1)}
    for start in range(len(released) - RUN + 1):
        run = released[start : start + RUN]
        if run in runs and len(set(run)) > RUN // 4:  # compressed flat areas repeat few bytes
            yield "the released file holds bytes of the original file"
            return


def chunks_of(file: bytes, *, without: tuple[bytes, ...]) -> Iterator[bytes]:
    """Bodies of PNG chunks, as far as the file goes."""
    position = 8
    while position + 8 <= len(file):
        size, name = struct.unpack(">I4s", file[position : position + 8])
        if name not in without:
            yield file[position + 8 : position + 8 + size]
        position += size + 12
