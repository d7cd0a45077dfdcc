"""Quality of BASS compared with scikit-image's SLIC at the same number of regions.

Run: python benchmarks/bass_quality.py [--quick]
Measures explained variation (RGB) on photographs of scikit-image and on drawn scenes, and boundary
recall on the scenes, whose true regions are known. SLIC runs at its default compactness (10) and
at 1, where it follows colours best. Prints one line of JSON for each image and count, and one for
all of them.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.color import gray2rgb
from skimage.segmentation import slic

from bass_vs_slic import photograph
from counterveil.lab.benchmarks.metrics import explained_variation
from counterveil.lab.scenes import CATEGORY_KEYS, draw_scene
from counterveil.segmentation.bass import Bass
from measuring import machine, print_result

PHOTOGRAPHS = (
    *("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field"),
    *("retina", "immunohistochemistry", "coins", "camera", "moon"),
)
SEED, SCENES = 31, 7
"""Number of scenes in each category; split ``test``."""
COUNTS = (48, 100, 400)
COMPACTNESS = (10.0, 1.0)

Images = Iterator[tuple[str, np.ndarray, np.ndarray | None]]


def images(side: int, *, quick: bool) -> Images:
    """Name, pixels and true regions of each image; ``None`` if these are unknown."""
    for name in PHOTOGRAPHS[: 1 if quick else None]:
        pixels = photograph(name, side)
        yield name, gray2rgb(pixels) if pixels.ndim == 2 else pixels, None
    for key in CATEGORY_KEYS:
        for index in range(1 if quick else SCENES):
            scene = draw_scene(SEED, index, split="test", category=key, kind="unsafe")
            truth = np.zeros(scene.pixels.shape[:2], np.int32)
            for number, thing in enumerate(scene.objects, 1):
                truth[thing.mask] = number
            yield f"{key} {index}", scene.pixels, truth


def boundary_recall(labels: np.ndarray, truth: np.ndarray, *, radius: int | None = None) -> float:
    """Share of the true boundary that lies near a boundary of the partition, 0 to 1 (best).

    A ground truth without boundaries is recalled in full. ``radius`` is the tolerance in rows and
    columns; 0.0025 of the diagonal by default.
    """
    true_boundary = boundary(truth)
    if not true_boundary.any():
        return 1.0
    radius = round(0.0025 * math.hypot(*labels.shape)) if radius is None else radius
    square = np.ones((2 * radius + 1, 2 * radius + 1), bool)
    return float(binary_dilation(boundary(labels), square)[true_boundary].mean())


def boundary(labels: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def compare(name: str, image: np.ndarray, truth: np.ndarray | None, wanted: int) -> list[dict]:
    """BASS at the number of regions of SLIC, for each compactness."""
    rows = []
    for compactness in COMPACTNESS:
        theirs = slic(image, n_segments=wanted, compactness=compactness, start_label=0)
        ours = Bass(count=int(theirs.max()) + 1)(image)
        cuts = {"bass": ours, "slic": theirs}
        row = {
            "image": name,
            "wanted": wanted,
            "compactness": compactness,
            "regions": {k: int(v.max()) + 1 for k, v in cuts.items()},
            "explained_variation": {
                k: round(explained_variation(image, v), 4) for k, v in cuts.items()
            },
        }
        if truth is not None:
            recall = {k: round(boundary_recall(v, truth), 4) for k, v in cuts.items()}
            row["boundary_recall"] = recall
        print_result("bass_quality", **row)
        rows.append(row)
    return rows


def differences(rows: list[dict], measure: str) -> dict[str, float]:
    """Value of BASS minus value of SLIC."""
    rows = [row for row in rows if measure in row]
    found = [row[measure]["bass"] - row[measure]["slic"] for row in rows]
    worse = sum(one < 0 for one in found)
    return {
        "median": round(statistics.median(found), 4),
        "worst": round(min(found), 4),
        "of": len(found),
        "images": len({row["image"] for row in rows}),
        "worse": worse,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one photograph, three scenes")
    parser.add_argument("--side", type=int, default=224, help="shorter side of the photographs")
    arguments = parser.parse_args()
    found = list(images(arguments.side, quick=arguments.quick))
    rows = [
        row
        for name, image, truth in found
        for wanted in COUNTS[: 1 if arguments.quick else None]
        for row in compare(name, image, truth, wanted)
    ]
    print_result(
        "bass_quality, all",
        bass_less_slic={
            f"{measure}, compactness {c:g}": differences(
                [row for row in rows if row["compactness"] == c], measure
            )
            for measure in ("explained_variation", "boundary_recall")
            for c in COMPACTNESS
        },
        **machine("scikit-image"),
    )


if __name__ == "__main__":
    main()
