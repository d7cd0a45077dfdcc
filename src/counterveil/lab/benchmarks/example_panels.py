"""Example panels for the page of the benchmark ``cse``: how a veil comes about."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from counterveil.images import decode_clean, encode_png
from counterveil.lab.benchmarks.cse import decode_mask
from counterveil.lab.benchmarks.datasets import FlaggedImage, SceneDataset
from counterveil.pipeline import Pipeline
from counterveil.report.pictures import heatmap_png, regions_png
from counterveil.types import Image, Mask

COLUMNS = ("safe part", "attribution", "regions", "veiled")
"""Titles of the panels of a row."""
TITLE_HEIGHT, GAP = 20, 8
"""Height of the titles and distance between panels, in pixels."""
GREY = 160
"""Value of all channels where the unsafe pixels were."""

_DILATION = 3
_PALETTE_COLOURS = 200


def example_panels(pipeline: Pipeline, scenes: SceneDataset) -> bytes:
    """A PNG file with one row of ``COLUMNS`` per category, for one of its first flagged scenes.

    It holds no unsafe pixel of an original, except those that the pipeline would release.
    """
    rows = {  # different indices, because scenes of one index share their background
        classifier.category.title: make_panels(
            pipeline, scenes.flagged_images(classifier, index + 1)[index]
        )
        for index, classifier in enumerate(pipeline.classifiers)
    }
    height, width = next(iter(rows.values()))[0].shape[:2]
    column_step, row_step = width + GAP, height + GAP
    size = (
        TITLE_HEIGHT + column_step * len(COLUMNS) - GAP,
        TITLE_HEIGHT + row_step * len(rows) - GAP,
    )
    canvas = Pillow.new("RGB", size, "white")
    for column, name in enumerate(COLUMNS):
        canvas.paste(_title(name, width), (TITLE_HEIGHT + column_step * column, 0))
    for row, (title, panels) in enumerate(rows.items()):
        vertical = _title(title, height).transpose(Pillow.Transpose.ROTATE_90)
        canvas.paste(vertical, (0, TITLE_HEIGHT + row_step * row))
        for column, panel in enumerate(panels):
            corner = TITLE_HEIGHT + column_step * column, TITLE_HEIGHT + row_step * row
            canvas.paste(Pillow.fromarray(panel), corner)
    buffer = io.BytesIO()
    palette = canvas.quantize(_PALETTE_COLOURS, dither=Pillow.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def make_panels(pipeline: Pipeline, scene: FlaggedImage) -> tuple[Image, Image, Image, Image]:
    """The panels ``COLUMNS`` of one scene that the pipeline flags, in the scene's size."""
    assert scene.truth is not None, "panels are made from scenes"
    examination = pipeline.examine(encode_png(scene.image), name=f"{scene.index}.png")
    assert examination.veiled is not None and examination.mask is not None, examination.record
    explanations = list(examination.explanations.values())
    veiled = decode_clean(examination.veiled)
    mask = decode_mask(examination.mask)
    heat = heatmap_png([explanation.attribution_map for explanation in explanations])
    regions = regions_png(explanations[0].labels, mask)
    safe = safe_part(scene.image, scene.truth)
    return safe, _overlay(veiled, heat), _overlay(veiled, regions), veiled


def safe_part(image: Image, truth: Mask) -> Image:
    """The image with constant grey on its unsafe pixels and within 3 pixels of them."""
    near = binary_dilation(truth, np.ones((3, 3), bool), iterations=_DILATION)
    safe: Image = np.where(near[..., None], np.uint8(GREY), image)
    return safe


def _overlay(image: Image, overlay: bytes) -> Image:
    """The image with a transparent picture on top, scaled to its size."""
    picture = Pillow.fromarray(image).convert("RGBA")
    with Pillow.open(io.BytesIO(overlay)) as top:
        scaled = top.convert("RGBA").resize(picture.size, Pillow.Resampling.BILINEAR)
    return np.array(Pillow.alpha_composite(picture, scaled).convert("RGB"))


def _title(text: str, width: int) -> Pillow.Image:
    """A white band with the text in its centre."""
    band = Pillow.new("RGB", (width, TITLE_HEIGHT), "white")
    font = ImageFont.load_default(12)
    ImageDraw.Draw(band).text((width / 2, TITLE_HEIGHT / 2), text, "black", font, anchor="mm")
    return band
