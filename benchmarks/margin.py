"""How the default margin was chosen: coverage and precision of masks on validation scenes.

Run: python benchmarks/margin.py [--count 60]
For each margin (0 is the paper's flip), with and without complete objects: share of the unsafe
objects that is veiled, share of the veil that is unsafe, veiled area over true area, and images
scored. Validation scenes, so that no test scene decides.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from counterveil.config import make_config
from counterveil.images import encode_png
from counterveil.lab.benchmarks.cse import decode_mask
from counterveil.lab.benchmarks.datasets import FlaggedImage, flagged_scenes, load_pictograms
from counterveil.lab.benchmarks.metrics import mask_overlap
from counterveil.pipeline import Pipeline

SEED = 77
MARGINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
COLUMNS = (
    *("margin", "objects", "category", "found", "coverage", "precision", "veiled / true"),
    "evaluations",
)


def measure(pipeline: Pipeline, scenes: Sequence[FlaggedImage]) -> list[str]:
    """Cells of one row."""
    overlaps, found, evaluations = [], [], []
    for scene in scenes:
        examination = pipeline.examine(encode_png(scene.image))
        result = examination.record.flagged[0].counterfactual
        found.append(result.outcome == "found")
        evaluations.append(result.evaluations)
        overlaps.append(mask_overlap(decode_mask(examination.mask), scene.truth))
    means = [
        np.mean([getattr(overlap, name) for overlap in overlaps])
        for name in ("coverage", "precision", "area_ratio")
    ]
    cells = [f"{100 * np.mean(found):.1f} %", *(f"{mean:.3f}" for mean in means)]
    return [*cells, f"{np.mean(evaluations):.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="scenes per category")
    count = parser.parse_args().count
    base = load_pictograms()
    scenes = {
        each.category.key: list(flagged_scenes(each, count=count, seed=SEED, split="validation"))
        for each in base.classifiers
    }
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + "---|" * len(COLUMNS))
    for complete in (True, False):
        for margin in MARGINS:
            config = make_config(
                base.config, margin=margin, completion="colour" if complete else "none"
            )
            for classifier in base.classifiers:
                key = classifier.category.key
                pipeline = Pipeline([classifier], base.components, config=config)
                row = measure(pipeline, scenes[key])
                cells = [f"{margin}", "whole" if complete else "needed", key, *row]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
