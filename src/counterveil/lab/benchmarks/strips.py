"""Examples for the page of the bench ``cse``: how a veil comes about, a row a category."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from counterveil.images import decode_clean, encode_png, load
from counterveil.lab.benchmarks.subjects import Case, Scenes
from counterveil.pipeline import Pipeline
from counterveil.report.pictures import heatmap_png, regions_png
from counterveil.types import Image, Mask

COLUMNS = ("safe part", "attribution", "regions", "veiled")
"""What is in each panel of a row."""

BAND, GAP = 20, 8
"""Pixels above the panels and left of them, for words; and between two panels."""

GREY = 160
"""What stands for the unsafe pixels, in every channel."""

_GROWN = 3
_COLOURS = 200


def strips(pipeline: Pipeline, scenes: Scenes) -> bytes:
    """A row of ``COLUMNS`` for each category, of one of its first flagged scenes; a PNG.

    No unsafe pixel of an original is in it but what the pipeline itself would release.

    Args:
        pipeline: with its classifiers.
        scenes: measured on.
    """
    rows = {  # each of another number, as scenes of one number share their background
        watch.category.title: panels(pipeline, scenes.cases(watch, at + 1)[at])
        for at, watch in enumerate(pipeline.watches)
    }
    height, width = next(iter(rows.values()))[0].shape[:2]
    across, down = width + GAP, height + GAP
    size = BAND + across * len(COLUMNS) - GAP, BAND + down * len(rows) - GAP
    canvas = Pillow.new("RGB", size, "white")
    for column, name in enumerate(COLUMNS):
        canvas.paste(_words(name, width), (BAND + across * column, 0))
    for row, (title, pictures) in enumerate(rows.items()):
        upright = _words(title, height).transpose(Pillow.Transpose.ROTATE_90)
        canvas.paste(upright, (0, BAND + down * row))
        for column, picture in enumerate(pictures):
            place = BAND + across * column, BAND + down * row
            canvas.paste(Pillow.fromarray(picture), place)
    buffer = io.BytesIO()
    few = canvas.quantize(_COLOURS, dither=Pillow.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def panels(pipeline: Pipeline, case: Case) -> tuple[Image, Image, Image, Image]:
    """The pictures of ``COLUMNS``, all of the scene's size.

    Args:
        pipeline: flags the scene.
        case: a scene, with its truth.
    """
    assert case.truth is not None, "strips are made of scenes"
    examination = pipeline.examine(encode_png(case.image), name=f"{case.index}.png")
    assert examination.veiled is not None and examination.mask is not None, examination.record
    explanations = list(examination.explanations.values())
    veiled = decode_clean(examination.veiled)
    mask = load(examination.mask)[0].pixels[..., 0] > 127
    attribution_map = heatmap_png([explanation.attribution_map for explanation in explanations])
    regions = regions_png(explanations[0].labels, mask)
    return (
        safe_part(case.image, case.truth),
        _score_masked(veiled, attribution_map),
        _score_masked(veiled, regions),
        veiled,
    )


def safe_part(image: Image, truth: Mask) -> Image:
    """The image with flat grey over its unsafe pixels and those within 3 pixels of one."""
    near = binary_dilation(truth, np.ones((3, 3), bool), iterations=_GROWN)
    safe: Image = np.where(near[..., None], np.uint8(GREY), image)
    return safe


def _score_masked(image: Image, overlay: bytes) -> Image:
    """The image with an overlay on it, brought to its size."""
    picture = Pillow.fromarray(image).convert("RGBA")
    with Pillow.open(io.BytesIO(overlay)) as above:
        scaled = above.convert("RGBA").resize(picture.size, Pillow.Resampling.BILINEAR)
    return np.array(Pillow.alpha_composite(picture, scaled).convert("RGB"))


def _words(text: str, width: int) -> Pillow.Image:
    """A band of the width with the text in its middle."""
    band = Pillow.new("RGB", (width, BAND), "white")
    font = ImageFont.load_default(12)
    ImageDraw.Draw(band).text((width / 2, BAND / 2), text, "black", font, anchor="mm")
    return band
