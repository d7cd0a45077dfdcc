"""``counterveil config``: show and check configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from counterveil.cli.options import with_config_options

app = typer.Typer(
    help="Show and check configurations.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
@with_config_options
def show(
    *,
    profile: Annotated[
        str, typer.Argument(help="photographs, pictograms, nudenet, hub, or your own FILE.toml.")
    ] = "photographs",
    options: dict[str, Any],
) -> None:
    """Print the resolved configuration of a profile as a TOML file."""
    from counterveil.config import to_toml
    from counterveil.profiles import find_profile

    typer.echo(to_toml(find_profile(profile, **options)), nl=False)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The TOML file.")],
) -> None:
    """Check a TOML file. No model is loaded."""
    from counterveil import classifiers, reasoning, segmentation
    from counterveil.config import read_config
    from counterveil.registry import check_spec

    config = read_config(file)
    for category in config.categories:
        check_spec("classifier", classifiers.LOADERS, category.classifier)
    if config.reasoner:
        check_spec("reasoner", reasoning.LOADERS, config.reasoner)
    if config.segmenter:
        check_spec("object segmenter", segmentation.OBJECT_SEGMENTERS, config.segmenter)
    keys = ", ".join(category.key for category in config.categories)
    typer.echo(f"{file}: valid; categories: {keys}")
