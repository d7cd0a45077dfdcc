"""Images per second of a whole run, compared with its classifiers alone.

Run: python benchmarks/throughput.py [--count 60] [--device cuda] [--rounds 3]
The run reads files, scores them, veils what is flagged and verifies, like `counterveil run` without
a reasoner; about half of the scenes are unsafe. The classifiers score the same pixels in one batch:
the cost of a verdict without a veil. Prints a line of JSON; `times_slower` is the run's time
divided by the classifiers', round by round.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from counterveil.images import encode_png
from counterveil.inputs import Input
from counterveil.lab.benchmarks.datasets import load_pictograms
from counterveil.lab.scenes import draw_scene
from counterveil.outputs import ResultFolder, save
from counterveil.outputs.plan import make_plan
from measuring import device_name, machine, print_result, ratios, spread, time_alternately


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of six images")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    count, rounds = (6, 1) if options.quick else (options.count, options.rounds)
    pipeline = load_pictograms(options.device)
    pixels = np.stack([draw_scene(5, n, split="test").pixels for n in range(count)])
    with TemporaryDirectory() as name:
        files = [Input(Path(name) / f"{n:04}.png", f"{n:04}.png", f"{n:04}") for n in range(count)]
        for item, image in zip(files, pixels, strict=True):
            item.path.write_bytes(encode_png(image))
        runs = iter(range(rounds + 1))

        def run() -> None:
            out = Path(name) / f"out{next(runs)}"
            with ResultFolder(out, make_plan(pipeline.config, (), files), files) as folder:
                for item in files:
                    folder.add(save(pipeline.examine(item.path, output_name=item.output_name), out))
                folder.finish()

        def score() -> None:
            for each in pipeline.classifiers:
                each.classifier.score(pixels)

        calls = {"run": run, "classifiers": score}
        for call in calls.values():
            call()
        times = time_alternately(calls, rounds)
    print_result(
        "throughput",
        setting=f"{count} scenes of 224 px, about half of them unsafe",
        device=device_name(options.device),
        images_per_second={n: spread([count / t for t in ts]) for n, ts in times.items()},
        times_slower=ratios(times["run"], times["classifiers"]),
        **machine("torch"),
    )


if __name__ == "__main__":
    main()
