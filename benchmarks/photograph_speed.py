"""Time of a whole photograph in the profile `photographs`: small, of 12 megapixels, by `minimal`.

Run: python benchmarks/photograph_speed.py FOLDER [--count 8]

Taken are the images of FOLDER that open_nsfw scores highest; the threshold is moved to the lowest
of their scores, so that all are veiled. Only the category `sexually_explicit` is examined, with its
judge. Each image is examined as it is, enlarged to 12 megapixels with grain as of a camera, and by
the search `minimal` with the completion of drawn scenes. The output has the median seconds on this
machine, and ratios image by image.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import counterveil
from counterveil.profiles import PROFILES
from measuring import ratios, seconds, spread

LARGE = 12_000_000
GRAIN = 3.0
"""Standard deviation of the grain, of 255."""


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=8)
    arguments = parser.parse_args()
    files = highest(sorted(arguments.folder.iterdir()), arguments.count)
    threshold = min(files.values())
    ours = pipeline(threshold)
    minimal = pipeline(
        threshold, search="minimal", region_size="coarse", completion="colour", search_size=512
    )
    times: dict[str, list[float]] = {"small": [], "large": [], "minimal": []}
    veiled = 0
    for file in [next(iter(files)), *files]:  # the first one loads what is loaded at first use
        data = file.read_bytes()
        times["small"].append(seconds(lambda data=data: ours.examine(data)))
        times["minimal"].append(seconds(lambda data=data: minimal.examine(data)))
        large = enlarged(data)
        times["large"].append(seconds(lambda data=large: ours.examine(data)))
        veiled += bool(ours.examine(data).record.flagged)
    times = {name: values[1:] for name, values in times.items()}
    result = {
        "photographs": len(files),
        "veiled": veiled - 1,
        "seconds": spread(times["small"]),
        "seconds of 12 megapixels": spread(times["large"]),
        "12 megapixels / small": ratios(times["large"], times["small"]),
        "minimal / levelsets": ratios(times["minimal"], times["small"]),
    }
    print(json.dumps(result))


def highest(paths: list[Path], count: int) -> dict[Path, float]:
    """The images with the highest scores."""
    scoring = pipeline(1.0)
    scores = {
        path: scoring.examine(path).record.categories[0].score
        for path in paths
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    }
    best = sorted(scores, key=lambda path: -scores[path])[:count]
    return {path: scores[path] for path in best}


def pipeline(threshold: float, **options: Any) -> counterveil.Pipeline:
    """The profile with one category, whose threshold and judge's threshold are moved."""
    profile = PROFILES["photographs"]
    category = replace(
        profile.categories[0],
        threshold=threshold,
        judge_threshold=threshold,
        warn_threshold=0,
    )
    return counterveil.load(
        profile.model_copy(update={"categories": (category,), "not_covered": ""}), **options
    )


def enlarged(data: bytes) -> bytes:
    """The image at 12 megapixels, with grain, as a JPEG file."""
    with Image.open(io.BytesIO(data)) as image:
        factor = (LARGE / (image.width * image.height)) ** 0.5
        size = (round(image.width * factor), round(image.height * factor))
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    grain = np.random.default_rng(0).normal(0, GRAIN, pixels.shape)
    buffer = io.BytesIO()
    grainy = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    Image.fromarray(grainy).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
