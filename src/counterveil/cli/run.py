"""``counterveil run``: examine images and write the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from counterveil.cli.options import with_config_options


@with_config_options
def run(
    *,
    paths: Annotated[list[str], typer.Argument(help="Files, folders or globs.", metavar="PATH...")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    profile: Annotated[
        str, typer.Option(help="pictograms, nudenet, hub, or your own FILE.toml.")
    ] = "pictograms",
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print each record as one line of JSON.")
    ] = False,
    options: dict[str, Any],
) -> None:
    """Veil the unsafe regions of images and record what was done.

    Options that are not given are taken from the profile.

    Exit status: 0 all inputs were processed; 1 some input failed (its record says why, and the
    other inputs were processed); 2 usage error.
    """
    from counterveil.inputs import find_inputs
    from counterveil.outputs import ResultFolder
    from counterveil.profiles import load
    from counterveil.progress import track

    inputs = find_inputs(paths, exclude=out)
    pipeline = load(profile, **options)
    with ResultFolder(out) as folder:
        for item in track(inputs, "veiling"):
            examination = pipeline.examine(item.path, name=item.name, output_name=item.output_name)
            record = folder.add(examination)
            if json_lines:
                typer.echo(record.to_json())
    typer.echo(f"{folder.summary}; report: {out / 'report.html'}", err=True)
    raise typer.Exit(1 if folder.failed else 0)
