"""How the default target was found: coverage and precision of veils on validation scenes.

`python benchmarks/target.py [--count 60]`: for each target (and the paper's mere flip), what share
of the unsafe objects is veiled, what share of the veil is unsafe, veiled area over true area, and
images scored; with whole objects, and without. Validation scenes: the test split stays unseen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from counterveil import profiles
from counterveil.images import encode_png, load
from counterveil.lab.benchmarks import cse
from counterveil.lab.benchmarks.overlap import overlap
from counterveil.pipeline import CategoryClassifier, Pipeline

SEED = 77
TARGETS = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


def measure(pipeline: Pipeline, cases: list[cse.Case]) -> list[str]:
    overlaps, found, evaluations = [], [], []
    for case in cases:
        examination = pipeline.examine(encode_png(case.image))
        category = examination.record.flagged[0].counterfactual
        found.append(category.outcome == "found")
        evaluations.append(category.evaluations)
        mask = load(examination.mask)[0].pixels[..., 0] > 127
        overlaps.append(overlap(mask, case.truth))
    means = [np.mean([getattr(o, name) for o in overlaps]) for name in
             ("coverage", "precision", "area_ratio")]  # fmt: skip
    return [f"{100 * np.mean(found):.1f} %", *(f"{mean:.3f}" for mean in means),
            f"{np.mean(evaluations):.0f}"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="scenes a category")
    count = parser.parse_args().count
    base = profiles.PROFILES["proxy"]
    watches: tuple[CategoryClassifier, ...] = profiles.from_profile(base).watches
    cases = {
        watch.category.key: list(cse.flagged(watch, count=count, seed=SEED, split="validation"))
        for watch in watches
    }
    print(
        "| target | objects | category | found | coverage | precision | veiled / true | forwards |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for objects in (True, False):
        for target in TARGETS:
            settings = replace(base.settings, target=target, objects=objects)
            for watch in watches:
                pipeline = Pipeline([watch], profiles.methods(base), settings=settings)
                row = measure(pipeline, cases[watch.category.key])
                whole = "whole" if objects else "needed"
                cells = [f"{target}", whole, watch.category.key, *row]
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
