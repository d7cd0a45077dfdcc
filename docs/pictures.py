"""Make the pictures of the README and the site: ``make pictures``. Needs the extra ``faces``.

With a clone of cjdowner/interfaces (GitHub, portraits under CC0) in ``out/interfaces``, it also
makes the picture of sixteen faces.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.text import Text

import counterveil
from counterveil.images import decode_clean, encode_png, load
from counterveil.lab.benchmarks.contact_sheet import Pair, contact_sheet
from counterveil.lab.benchmarks.metrics import mask_overlap
from counterveil.lab.scenes import CATEGORY_KEYS, Scene, draw_scene
from counterveil.profiles import find_profile

FOLDER = Path(__file__).parent / "images"
PORTRAITS = Path("out/interfaces/1000 x 1000")
SEED, SIZE, GAP, CANDIDATES = 41, 360, 12, 9
COMMANDS = (
    "counterveil scenes --out out/scenes --count 6 --seed 7 --split test",
    "counterveil run out/scenes/images --out out/pictograms --profile pictograms",
    "ls out/pictograms",
)


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    terminal(FOLDER / "terminal.svg")
    pipeline = counterveil.load("pictograms", reasoner="")
    before_after(pipeline, FOLDER / "before-after.png")
    photograph(FOLDER / "photograph.png")
    if PORTRAITS.is_dir():
        (FOLDER / "faces.jpg").write_bytes(sixteen_faces())


def terminal(path: Path) -> None:
    """Run ``COMMANDS`` in an empty folder and draw what the terminal shows."""
    console = Console(record=True, width=88, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            console.print(Text(f"$ {command}", style="bold"))
            if output := _output(command, folder):
                console.print(Text.from_ansi(output))
    svg = console.export_svg(title="counterveil", unique_id="terminal")
    # Rich names web fonts; the picture must not load anything.
    path.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S), "utf-8")


def _output(command: str, folder: str) -> str:
    program, *arguments = command.split()
    words = [program, "-C"] if program == "ls" else [sys.executable, "-m", program]
    done = subprocess.run(
        [*words, *arguments],
        cwd=folder,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.strip()


def before_after(pipeline: counterveil.Pipeline, path: Path) -> None:
    """A scene of each category, above its veiled image."""
    columns = [_typical_scene(key, pipeline) for key in CATEGORY_KEYS]
    _save(Image.fromarray(_side_by_side(columns)), path)


def photograph(path: Path) -> None:
    """The photographs of an astronaut and an admiral (public domain), and the released images."""
    examined = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "examples/photographs.py", folder], check=True)
        pipeline = counterveil.load("photographs")
        for name in ("astronaut", "grace_hopper"):
            file = Path(folder, f"{name}.jpg")
            examined += [load(file)[0].pixels, decode_clean(pipeline.examine(file).veiled)]
    heights = [Image.fromarray(pixels) for pixels in examined]
    columns = [np.asarray(each.resize((each.width * 300 // each.height, 300))) for each in heights]
    _save(Image.fromarray(_side_by_side(columns)), path)


def sixteen_faces() -> bytes:
    """A JPEG file of every sixth of the hundred portraits, before and after."""
    profile = find_profile("photographs")
    faces = next(each for each in profile.categories if each.key == "faces")
    pipeline = counterveil.load(profile.model_copy(update={"categories": (faces,)}))
    files = sorted(PORTRAITS.glob("*.jpg"))[:96:6]
    return contact_sheet([_pair(pipeline, file) for file in files], columns=4)


def _pair(pipeline: counterveil.Pipeline, file: Path) -> Pair:
    examination = pipeline.examine(file)
    (category,) = examination.record.categories
    share = category.counterfactual.area_fraction
    caption = f"{file.name}: score {category.score:.2f}, {share:.0%} veiled"
    return Pair(load(file)[0].pixels, decode_clean(examination.veiled), caption)


def _typical_scene(category: str, pipeline: counterveil.Pipeline) -> np.ndarray:
    """Of some scenes, the one whose mask has the median overlap (IoU) with the unsafe pixels."""
    scenes = list(islice(_scenes(category), CANDIDATES))
    examined = [pipeline.examine(encode_png(scene.pixels)) for scene in scenes]
    overlaps = [
        mask_overlap(load(one.mask)[0].pixels[..., 0] > 127, scene.mask()).iou
        for one, scene in zip(examined, scenes, strict=True)
    ]
    median = int(np.argsort(overlaps)[CANDIDATES // 2])
    before, after = scenes[median].pixels, decode_clean(examined[median].veiled)
    gap = np.full((GAP, before.shape[1], 3), 255, np.uint8)
    return np.concatenate([before, gap, after])


def _scenes(category: str) -> Iterator[Scene]:
    """Scenes with unsafe and safe objects, neither tiny nor large."""
    for index in count():
        scene = draw_scene(SEED, index, category=category, kind="unsafe", size=(SIZE, SIZE))
        safe = [thing for thing in scene.objects if not thing.unsafe]
        if safe and 0.04 < scene.mask().mean() < 0.15:
            yield scene


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], axis=1)


def _save(picture: Image.Image, path: Path) -> None:
    """Few colours keep the file small; these pictures are looked at, not measured."""
    picture.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
