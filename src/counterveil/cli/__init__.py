"""The command line: one file a command, each loaded only when it is called."""

from __future__ import annotations

import sys

import typer

from counterveil.cli import bench, config, instruct, reasoner, run, scenes, train
from counterveil.errors import CounterveilError

__all__ = ["app", "main"]

app = typer.Typer(
    name="counterveil",
    help="Makes unsafe images safe to look at.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.add_typer(config.app, name="config")
app.command("scenes")(scenes.scenes)
app.add_typer(train.app, name="train")
app.add_typer(instruct.app, name="instruct")
app.add_typer(reasoner.app, name="reasoner")
app.command("bench")(bench.bench)


def _version(asked: bool) -> None:
    if asked:
        from counterveil import __version__

        typer.echo(f"counterveil {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Makes unsafe images safe to look at."""


def main() -> None:
    """Run the command line; what was expected to go wrong ends without a traceback."""
    try:
        app()
    except (CounterveilError, OSError) as error:  # OSError: a full disk, a folder that went away
        typer.echo(f"counterveil: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("counterveil: interrupted", err=True)
        sys.exit(130)
