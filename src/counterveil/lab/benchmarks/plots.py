"""Pictures of the benchmarks: reproducible SVG plots (they need matplotlib), panels of examples."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from counterveil.errors import MissingExtraError
from counterveil.images import decode_clean, encode_png
from counterveil.lab.benchmarks.cse import decode_mask
from counterveil.lab.benchmarks.datasets import FlaggedImage, SceneDataset
from counterveil.pipeline import Pipeline
from counterveil.report.pictures import heatmap_png, regions_png
from counterveil.types import Image, Mask

TABLE_TITLES = {
    "paper": "The paper's settings, and our search with the same settings",
    "attributions": "Attribution maps, with BASS (Table 3)",
    "partitions": "Partitions, ranked by FullGrad (Table 4)",
    "searches": "Searches: ours and rivals",
    "released": "Released files, beside the paper's settings",
}
"""Titles of the tables of counterfactuals."""

Points = Sequence[tuple[float, float]]

_GREEN = "#1a6b3c"
_COLOURS = (_GREEN, "#b4551d", "#2f5c9e", "#8a3c8f", "#5f6b1a", "#8f3c3c")


def bar_charts(results: Mapping[str, Any]) -> bytes:
    """Share of images with a counterfactual, and veiled share, of each method; an SVG file.

    One bar per method with its 95 % interval, for all categories together (or the only one).

    Args:
        results: results of the benchmark ``cse``, with at least one table of counterfactuals.
    """
    labels: list[str] = []
    titles: dict[int, str] = {}
    rows: list[Mapping[str, Any] | None] = []
    for table, methods in results["counterfactuals"].items():
        titles[len(rows)] = TABLE_TITLES[table]
        labels += [TABLE_TITLES[table], *methods]
        rows += [None, *map(_all_categories, methods.values())]
    with _figure(9, 0.5 + 0.2 * len(rows), columns=2) as (axes, buffer):
        columns = {
            "found": "images with a counterfactual (%)",
            "obfuscation": "mean veiled share of these images (%)",
        }
        for axis, (metric, label) in zip(axes, columns.items(), strict=True):
            for y, row in enumerate(rows):
                if row is not None:
                    _bar(axis, y, row[metric])
            axis.set_xlabel(label)
            axis.set_xlim(0, 100 if metric == "found" else None)
            axis.margins(x=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_yticks(range(len(rows)), labels)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        for y, label in enumerate(axes[0].get_yticklabels()):
            label.set_fontweight("bold" if y in titles else "normal")
        axes[1].sharey(axes[0])
        axes[1].tick_params(labelleft=False)
        axes[0].figure.suptitle("Bar: mean. Line: 95 % interval.", fontsize=8)
    return buffer.getvalue()


def _all_categories(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row for all categories, or for the only one."""
    found: Mapping[str, Any] = row["all"] if "all" in row else next(iter(row.values()))
    return found


def _bar(axis: Any, y: int, estimate: Mapping[str, Any]) -> None:
    if estimate["mean"] is None:
        axis.text(0, y, " –", va="center")
        return
    low, mean, high = (100 * estimate[key] for key in ("low", "mean", "high"))
    axis.barh(y, mean, height=0.65, color=_GREEN, alpha=0.7)
    # Not xerr: an interval of a skewed distribution need not contain the mean.
    axis.plot([low, high], [y, y], color="#222", linewidth=1, marker="|", markersize=4)
    axis.annotate(
        f"{mean:.1f}",
        (max(mean, high), y),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
    )


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> bytes:
    """Share of true yes over P(yes), of ``reasoning.calibration_error``; an SVG file.

    The marker's area is the number of answers.
    """
    largest = max((b["count"] for b in bins), default=1)
    with _figure(3.2, 3.2) as ((axis,), buffer):
        axis.plot([0, 1], [0, 1], color="#999", linestyle="--", linewidth=1, label="calibrated")
        axis.scatter(
            [b["mean_p_yes"] for b in bins],
            [b["frequency"] for b in bins],
            s=[10 + 150 * b["count"] / largest for b in bins],
            color=_GREEN,
            alpha=0.7,
            clip_on=False,
            label="answers; area: their number",
        )
        axis.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="mean P(yes) of the answers (probability)",
            ylabel="share that is truly yes (fraction)",
        )
        axis.set_aspect("equal")
        axis.legend(loc="upper left", fontsize=7, markerscale=0.5)
    return buffer.getvalue()


def log_log_plot(series: Mapping[str, Points], *, x: str, y: str) -> bytes:
    """Series over two logarithmic axes, each with its slope in the legend; an SVG file.

    Args:
        series: points by name.
        x: label of the horizontal axis, with its unit.
        y: label of the vertical axis, with its unit.
    """
    with _figure(5.5, 4.2) as ((axis,), buffer):
        for number, (name, points) in enumerate(series.items()):
            label = f"{name}, slope {power_law_exponent(points):.2f}" if len(points) > 1 else name
            colour = _COLOURS[number % len(_COLOURS)]
            axis.loglog(
                *zip(*sorted(points), strict=True),
                marker="o",
                markersize=4,
                color=colour,
                label=label,
            )
        axis.set(xlabel=f"{x}, logarithmic", ylabel=f"{y}, logarithmic")
        for side in (axis.xaxis, axis.yaxis):
            low, high = side.get_view_interval()
            side.set_major_formatter(_plain_numbers)
            # Over one decade or less, the powers of ten alone would be too few ticks.
            side.set_minor_formatter(_plain_numbers if high < 10 * low else lambda *_: "")
        axis.grid(color="#ddd")
        axis.legend()
    return buffer.getvalue()


def _plain_numbers(value: float, _: int) -> str:
    """A tick's number without an exponent."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def power_law_exponent(points: Points) -> float:
    """Exponent of the power law through the points: least squares of the logarithms."""
    x, y = np.log(np.array(sorted(points), float)).T
    return float(np.polyfit(x, y, 1)[0])


@contextmanager
def _figure(width: float, height: float, *, columns: int = 1) -> Iterator[tuple[Any, io.BytesIO]]:
    """Axes to draw on, and the buffer that holds the SVG file when the block ends."""
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "plots need matplotlib; install it with: pip install 'counterveil[lab]'"
        ) from error
    # A fixed salt and no date: the same data give the same file. Text stays text, so that it can
    # be searched and needs no font outlines.
    options: dict[Any, Any] = {
        "svg.hashsalt": "counterveil",
        "svg.fonttype": "none",
        "font.size": 8,
    }
    buffer = io.BytesIO()
    with matplotlib.rc_context(options):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.subplots(1, columns, squeeze=False)[0], buffer
        figure.savefig(buffer, format="svg", metadata={"Date": None})


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
    regions = regions_png(explanations[0].labels, mask, longest=max(mask.shape))
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
