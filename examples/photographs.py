"""Write the photographs that scikit-image, scikit-learn and matplotlib ship, as JPEG files.

All may be shown and passed on. In the public domain are astronaut (NASA), grace_hopper (US Navy)
and rocket (SpaceX). Camera, chelsea and coffee are CC0. China, by danielbuechele, and flower, by
vultilion (both on Flickr), are CC BY 2.0.
"""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path

from PIL import Image

PHOTOGRAPHS = {
    "astronaut": ("skimage.data", "astronaut.png"),
    "camera": ("skimage.data", "camera.png"),
    "chelsea": ("skimage.data", "chelsea.png"),
    "china": ("sklearn.datasets.images", "china.jpg"),
    "coffee": ("skimage.data", "coffee.png"),
    "flower": ("sklearn.datasets.images", "flower.jpg"),
    "grace_hopper": ("matplotlib.mpl-data.sample_data", "grace_hopper.jpg"),
    "rocket": ("skimage.data", "rocket.jpg"),
}
"""Package and file of each photograph."""


def write_photographs(folder: Path) -> None:
    """Write each photograph as a JPEG file of quality 95."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (package, file) in PHOTOGRAPHS.items():
        root, _, rest = package.partition(".")
        path = importlib.resources.files(root).joinpath(*rest.split("."), file)
        with path.open("rb") as opened:
            image = Image.open(opened).convert("RGB")
        image.save(folder / f"{name}.jpg", quality=95)


if __name__ == "__main__":
    write_photographs(Path(sys.argv[1] if len(sys.argv) > 1 else "out/photographs"))
