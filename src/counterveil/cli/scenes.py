"""``counterveil scenes``: draw scenes with their ground truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer


def scenes(
    out: Annotated[Path, typer.Option(help="Folder for images/, masks/ and annotations.json.")],
    count: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same scenes.")] = 0,
    category: Annotated[
        str | None,
        typer.Option(help="sexually_explicit, cyberbullying or self_harm; default: all, mixed."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; default: 80, 10 and 10 %.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="unsafe, safe or lookalike; default: 50, 25 and 25 %.")
    ] = None,
    size: Annotated[int, typer.Option(min=64, help="Width and height in pixels.")] = 224,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes; default: one per CPU core.")
    ] = None,
) -> None:
    """Draw scenes: abstract pictograms with masks, attributes and reference answers."""
    from functools import partial

    from counterveil.errors import UsageError
    from counterveil.lab.scenes import coco
    from counterveil.progress import track

    try:
        for folder in ("images", "masks"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        # The manifest of an earlier run must not describe images that are now replaced.
        (out / coco.MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write scenes to {out} ({error.strerror or error}); choose a writable folder"
        ) from error
    options = {"category": category, "kind": kind, "size": (size, size)}
    draw = partial(_draw_and_write, out, seed, split, options)
    processes = workers or os.cpu_count() or 1
    coco.write_manifest(out, track(range(count), "drawing", function=draw, workers=processes))


def _draw_and_write(
    out: Path, seed: int, split: str | None, options: dict[str, Any], number: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from counterveil.lab.scenes import coco, draw_scene

    # By number, not at random: each run of ten scenes has the same shares.
    default_split = {8: "validation", 9: "test"}.get(number % 10, "train")
    scene = draw_scene(seed, number, split=split or default_split, **options)
    return coco.write_scene(scene, out, number)
