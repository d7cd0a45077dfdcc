"""``counterveil run``: veil images, and write what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or globs.", metavar="PATH...")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    profile: Annotated[
        str, typer.Option(help="proxy, nudenet, hub, or a FILE.toml of your own.")
    ] = "proxy",
    attribution: Annotated[
        str | None, typer.Option(help="Attribution map; the profile's where not given.")
    ] = None,
    segmentation: Annotated[
        str | None, typer.Option(help="Partition into regions; the profile's where not given.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(help="greedy (the paper's), minimal (ours), or a rival's: csra, sedc, ben..."),
    ] = None,
    fill: Annotated[
        str | None, typer.Option(help="black, white, grey, #rrggbb; blur and pixelate for viewing.")
    ] = None,
    reasoner: Annotated[
        str | None, typer.Option(help="Who writes the rationale, as blip:REPO; '' for nobody.")
    ] = None,
    max_regions: Annotated[int | None, typer.Option(min=1, help="Most regions veiled.")] = None,
    max_evaluations: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Most images that the search for one counterfactual scores; what occlusion "
            "scores to rank the regions is counted in the record, not here.",
        ),
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="Veil until the score is below this; 0.5 = a mere flip.")
    ] = None,
    objects: Annotated[
        bool | None,
        typer.Option("--objects/--no-objects", help="Veil whole objects, or what must be veiled."),
    ] = None,
    answers: Annotated[
        bool | None,
        typer.Option(
            "--answers/--no-answers", help="Veil more where the reasoner still answers yes."
        ),
    ] = None,
    guided: Annotated[
        bool | None,
        typer.Option("--guided/--no-guided", help="Finer regions where the attribution is hot."),
    ] = None,
    guidance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Condition the reasoner on this category so much, 0 to 1, rather than on what "
            "the classifiers say; may be repeated, what is not named counts 0.",
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Most frames of an animated file to assess.")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Largest file to read, in bytes.")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Largest frame to decode, in pixels.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, cuda:1, mps.")] = (
        "cpu"
    ),
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print each record as a line of JSON.")
    ] = False,
) -> None:
    """Veil the unsafe regions of images and record what was done.

    Exit status: 0 all processed; 1 some input failed (each has a record that says why, and the
    rest are done); 2 usage.
    """
    from counterveil.inputs import find
    from counterveil.outputs import Folder
    from counterveil.profiles import Overrides, from_profile
    from counterveil.progress import track

    inputs = find(paths, leave_out=out)
    overrides = Overrides(
        attribution=attribution,
        segmentation=segmentation,
        search=search,
        fill=fill,
        reasoner=reasoner,
        max_regions=max_regions,
        max_evaluations=max_evaluations,
        target=target,
        max_frames=max_frames,
        objects=objects,
        answers=answers,
        guided=guided,
        guidance=_guidance(guidance),
        max_bytes=max_bytes,
        max_pixels=max_pixels,
    )
    counterveil = from_profile(profile, overrides=overrides, device=device)
    with Folder(out) as folder:
        for item in track(inputs, "veiling"):
            examination = counterveil.examine(item.path, name=item.name, stem=item.stem)
            record = folder.add(item.stem, examination)
            if json_lines:
                typer.echo(record.to_json())
    typer.echo(f"{folder.summary}; report: {out / 'report.html'}", err=True)
    raise typer.Exit(1 if folder.failed else 0)


def _guidance(given: list[str] | None) -> dict[str, float] | None:
    """``["self_harm=0.8"]`` as a table; ``None`` where nothing was given."""
    from counterveil.errors import UsageError

    table = {}
    for text in given or ():
        key, _, value = text.partition("=")
        try:
            table[key] = float(value)
        except ValueError as error:
            raise UsageError(
                f"--guidance {text!r} must read KEY=VALUE, such as self_harm=0.8"
            ) from error
    return table or None
