"""BASS for many images in one call, beside one image after the other.

Run: python benchmarks/batch.py [--count 256] [--side 224] [--device cuda] [--rounds 5]
`one` segments image after image, `cores` all of them on all cores, and `batch` all of them as one
batch on the device, from bytes in main memory to labels in main memory. Prints a line of JSON;
`same` is the share of pixels whose label in the batch is that of `one`.
"""

from __future__ import annotations

import argparse

import numpy as np
from PIL import Image

from counterveil.lab.scenes import draw_scene
from counterveil.segmentation.bass import Bass
from measuring import device_name, emit, in_turn, machine, ratios, spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of eight images")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    count, rounds = (8, 1) if options.quick else (options.count, options.rounds)
    drawn = [Image.fromarray(draw_scene(5, n, split="test").pixels) for n in range(count)]
    images = [np.asarray(image.resize((options.side, options.side))) for image in drawn]
    bass = Bass()
    found = {}

    def one() -> None:
        found["one"] = [bass(image) for image in images]

    def cores() -> None:
        found["cores"] = bass.many(images)

    def batch() -> None:
        found["batch"] = bass.batched(images, [None] * count, device=options.device)

    calls = {"one": one, "cores": cores, "batch": batch}
    for call in calls.values():
        call()
    times = in_turn(calls, rounds)
    emit(
        "batch",
        setting=f"{count} scenes of {options.side} px",
        device=device_name(options.device),
        images_per_second={n: spread([count / t for t in ts]) for n, ts in times.items()},
        times_faster={n: ratios(times["one"], times[n]) for n in ("cores", "batch")},
        same=float(np.mean([np.mean(a == b) for a, b in zip(found["one"], found["batch"],
                                                            strict=True)])),
        **machine("torch"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
