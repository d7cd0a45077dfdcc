"""Speed of BASS compared with scikit-image's SLIC at the same number of regions.

Run: python benchmarks/bass_vs_slic.py [--quick] [--plot FILE.svg]
Prints lines of JSON. For each image, size, count and compactness: number of regions, explained
variation (RGB) and the time of BASS divided by that of SLIC, measured alternately in one process.
Then time and peak memory for growing images and counts, each in its own process. Every function
runs once before it is timed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from skimage import data
from skimage.segmentation import slic
from skimage.transform import resize

from counterveil.lab.benchmarks.metrics import explained_variation
from counterveil.lab.benchmarks.plots import log_log_plot, power_law_exponent
from counterveil.segmentation.bass import Bass
from measuring import (
    machine,
    peak_megabytes,
    print_result,
    ratios,
    reset_peak,
    run_script,
    seconds,
    spread,
    time_alternately,
)

NAMES = ("astronaut", "coffee", "chelsea", "rocket")
COUNTS = (25, 48, 100, 400, 1000)
SIDES = (224, 512, 1000, 2000, 3464)
"""The last is 12 megapixels."""
QUICK_COUNTS, QUICK_SIDES = (48, 200), (112, 224)
METHODS = ("bass", "slic")


def photograph(name: str, side: int) -> np.ndarray:
    """One of scikit-image's photographs with its short side scaled to `side`."""
    image = getattr(data, name)()
    height, width = image.shape[:2]
    scale = side / min(height, width)
    shape = (round(height * scale), round(width * scale))
    # float32: at 12 megapixels, resizing in float64 would need more memory than the method.
    image = image.astype(np.float32) / 255
    return (resize(image, shape, anti_aliasing=scale < 1) * 255).astype(np.uint8)


def segment(method: str, count: int, compactness: float = 10.0) -> Callable[..., np.ndarray]:
    if method == "bass":
        return Bass(count=count)
    return lambda image: slic(image, n_segments=count, compactness=compactness, start_label=0)


def compare(name: str, side: int, wanted: int, compactness: float, rounds: int) -> float:
    """Both methods on one image; returns the median ratio of their times."""
    image = photograph(name, side)
    theirs = segment("slic", wanted, compactness)
    reference = theirs(image)
    regions = int(reference.max()) + 1
    bass = segment("bass", regions)
    ours = bass(image)
    times = time_alternately({"bass": lambda: bass(image), "slic": lambda: theirs(image)}, rounds)
    ratio = ratios(times["bass"], times["slic"])
    print_result(
        "bass_vs_slic",
        image=name,
        side=side,
        wanted=wanted,
        compactness=compactness,
        regions={"bass": int(ours.max()) + 1, "slic": regions},
        explained_variation={
            "bass": round(explained_variation(image, ours), 4),
            "slic": round(explained_variation(image, reference), 4),
        },
        seconds={method: spread(values) for method, values in times.items()},
        bass_over_slic=ratio,
    )
    return ratio["median"]


def alone(method: str, side: int, count: int) -> dict[str, float]:
    """Time and peak memory of one method on one image, in this process."""
    run = segment(method, count)
    run(photograph("astronaut", 64))  # compile and import before memory is measured
    image = photograph("astronaut", side)
    before = reset_peak()
    spent = seconds(lambda: run(image))
    peak = peak_megabytes()
    return {"seconds": spent, "peak_mb": round(peak, 1), "own_mb": round(peak - before, 1)}


def growth(sides: tuple[int, ...], counts: tuple[int, ...]) -> Iterator[dict[str, object]]:
    """Each size at the middle count and each count at the middle size, in separate processes."""
    middle = counts[len(counts) // 2], sides[len(sides) // 2]
    jobs = dict.fromkeys([*((s, middle[0]) for s in sides), *((middle[1], c) for c in counts)])
    for side, count in jobs:
        for method in METHODS:
            found = run_script(__file__, "--alone", method, side, count)
            row = {"method": method, "side": side, "pixels": side * side, "count": count, **found}
            print_result("bass_vs_slic growth", **row)
            yield row


def slopes(rows: list[dict], over: str, fixed: str) -> dict[str, list[tuple[float, float]]]:
    """(pixels or count, seconds) of each method, while the other quantity is fixed."""
    usual = max({row[fixed] for row in rows}, key=[row[fixed] for row in rows].count)
    return {
        method: [
            (r[over], r["seconds"]) for r in rows if (r["method"], r[fixed]) == (method, usual)
        ]
        for method in METHODS
    }


def exponents(series: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    return {name: round(power_law_exponent(points), 3) for name, points in series.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small image, small sizes")
    parser.add_argument("--plot", type=Path, default=Path("out/bench/bass_vs_slic.svg"))
    parser.add_argument("--alone", nargs=3, metavar=("METHOD", "SIDE", "COUNT"))
    arguments = parser.parse_args()
    if arguments.alone:
        method, side, count = arguments.alone
        print(json.dumps(alone(method, int(side), int(count))))
        return
    names, rounds = (NAMES[:1], 2) if arguments.quick else (NAMES, 5)
    sides, counts = (QUICK_SIDES, QUICK_COUNTS) if arguments.quick else (SIDES, COUNTS)
    small = [(name, side, 10.0, rounds) for name in names for side in sides[:2]]
    small += [(name, side, 1.0, rounds) for name, side, *_ in small]
    large = [(names[0], side, 10.0, 1) for side in sides[2:]]
    found = [
        compare(name, side, count, compactness, times)
        for name, side, compactness, times in small + large
        for count in counts
    ]
    rows = list(growth(sides, counts))
    by_pixels, by_count = slopes(rows, "pixels", "count"), slopes(rows, "count", "pixels")
    arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    arguments.plot.write_bytes(
        log_log_plot(by_pixels, x="image size (pixels)", y="time of one segmentation (s)")
    )
    print_result(
        "bass_vs_slic summary",
        sides=sides,
        bass_over_slic=spread(found),
        slope_over_pixels=exponents(by_pixels),
        slope_over_regions=exponents(by_count),
        plot=str(arguments.plot),
        **machine("numpy", "numba", "scikit-image"),
    )


if __name__ == "__main__":
    main()
