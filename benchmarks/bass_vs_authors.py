"""BASS compared with its authors' program, from a clone of github.com/BGU-CS-VIL/BASS.

Run: python benchmarks/bass_vs_authors.py CLONE [--side 224] [--start 100]
Their PyTorch version, which needs no GPU, runs in its own process; names that numpy and torch have
removed since are defined again. Its time is the one it prints, without reading, setup and writing.
Our time is the whole call, for the number of regions that theirs returned. OMP_NUM_THREADS limits
the threads of theirs; ours uses one. Prints one line of JSON for each photograph, and one for all.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from authors import commit
from bass_vs_slic import NAMES, photograph
from counterveil.lab.benchmarks.metrics import explained_variation
from counterveil.segmentation.bass import Bass
from measuring import machine, print_result, seconds, spread

STARTED = """
import runpy, sys, types
sys.modules.setdefault("cv2", types.ModuleType("cv2"))  # imported, never used
import numpy as np, torch
np.int, np.float = int, float
np.uint16 = np.int64  # numpy no longer wraps the -1 that it stores
added = torch.addcmul
def addcmul(first, value, *factors, out=None):
    return added(first, *factors, value=value, out=out)
torch.addcmul = addcmul
sys.argv = ["BASS.py", *sys.argv[1:]]
runpy.run_path(sys.path[0] + "/BASS.py", run_name="__main__")
"""
QUICK = ("astronaut",)


def theirs(
    clone: Path, images: dict[str, np.ndarray], start: int
) -> dict[str, tuple[np.ndarray, float]]:
    """Labels and seconds of their program for each image."""
    program = clone / "pytorch_version"
    with TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copy(program / "lookup.npy", place)
        (place / "in").mkdir()
        for name, image in images.items():
            Image.fromarray(image).save(place / "in" / f"{name}.png")
        script = f"import sys; sys.path.insert(0, {str(program.resolve())!r})\n{STARTED}"
        words = [sys.executable, "-W", "ignore", "-c", script, "--img_folder", "in/"]
        words += ["--cpu", "--csv", "--sp", str(start)]
        ran = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(f"their program failed: {ran.stderr.strip()[-2000:]}")
        times = [float(text) for text in re.findall(r"Time taken: +([\d.]+)", ran.stdout)]
        found = {
            name: np.loadtxt(place / "out_img" / "csv" / f"{name}.csv", delimiter=",", dtype=int)
            for name in images
        }
    return {name: (found[name], took) for name, took in zip(sorted(images), times, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--quick", action="store_true", help="one photograph of 112 px")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--start", type=int, default=100, help="regions that theirs starts with")
    args = parser.parse_args()
    names, side = (QUICK, 112) if args.quick else (NAMES, args.side)
    images = {name: photograph(name, side) for name in names}
    rows = []
    for name, (labels, took) in theirs(args.clone, images, args.start).items():
        count = len(np.unique(labels))
        ours = Bass(count=count)
        ours(images[name])  # compiled
        mine = seconds(lambda ours=ours, name=name: ours(images[name]))
        own = ours(images[name])
        row = {
            "regions": {"theirs": count, "ours": int(own.max()) + 1},
            "seconds": {"theirs": took, "ours": mine},
            "times_faster": took / mine,
            "explained_variation": {
                "theirs": explained_variation(images[name], labels),
                "ours": explained_variation(images[name], own),
            },
        }
        rows.append(row)
        print_result("bass_vs_authors", image=name, side=side, **row)
    better = [row["explained_variation"] for row in rows]
    print_result(
        "bass_vs_authors, all",
        setting=f"{len(rows)} photographs, {side} px, the PyTorch version {commit(args.clone)}",
        times_faster=spread([row["times_faster"] for row in rows]),
        explained_variation_more=spread([one["ours"] - one["theirs"] for one in better]),
        **machine("torch", "numba"),
    )


if __name__ == "__main__":
    main()
