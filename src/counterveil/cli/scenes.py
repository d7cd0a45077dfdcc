"""``counterveil scenes``: draw proxy scenes with their ground truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer


def scenes(
    out: Annotated[Path, typer.Option(help="Folder for images/, masks/, annotations.json.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same scenes.")] = 0,
    category: Annotated[
        str | None, typer.Option(help="sexually_explicit, cyberbullying or self_harm; all if none.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; 80/10/10 if none.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="unsafe, safe or lookalike; a half and two quarters if none.")
    ] = None,
    size: Annotated[int, typer.Option(min=64, help="Side, pixels.")] = 224,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core if none.")
    ] = None,
) -> None:
    """Draw proxy scenes: abstract pictograms with masks, attributes and answers."""
    from functools import partial

    from counterveil.cli.progress import progress
    from counterveil.errors import UsageError
    from counterveil.lab.scenes import coco

    try:
        for folder in ("images", "masks"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        (out / coco.MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{out}: no scenes can be written there ({error.strerror or error}); "
            "name a folder that may be written"
        ) from error
    draw = partial(_draw, out, seed, category, split, kind, size)
    drawn = progress(range(count), "drawing", through=draw, workers=workers or os.cpu_count() or 1)
    coco.write_manifest(out, drawn)


def _draw(
    out: Path,
    seed: int,
    category: str | None,
    split: str | None,
    kind: str | None,
    size: int,
    number: int,
) -> tuple[dict[str, Any], list[Any]]:
    from counterveil.lab.scenes import coco, draw_scene

    shares = ("train",) * 8 + ("validation", "test")
    scene = draw_scene(
        seed,
        number,
        split=split or shares[number % 10],
        category=category,
        kind=kind,
        size=(size, size),
    )
    return coco.write_scene(scene, out, number)
