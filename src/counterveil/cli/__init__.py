"""The command line: one file for each command, imported only when the command is used."""

from __future__ import annotations

import io
import sys
import warnings
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from counterveil.errors import CounterveilError, MachineError

__all__ = ["COMMANDS", "app", "main"]

COMMANDS = {
    "run": ("run:run", "Veil the unsafe regions of images and record what was done."),
    "config": ("config:app", "Show and check configurations."),
    "scenes": ("scenes:scenes", "Draw scenes: abstract pictograms with masks and answers."),
    "train": ("train:app", "Train a classifier or a reasoner."),
    "instruct": ("instruct:app", "Make training data for a reasoner."),
    "models": (
        "models:models",
        "List the installed models: spec, package, licence, size and hash.",
    ),
    "reasoner": ("reasoner:app", "Serve a reasoner; show the memory that one needs."),
    "bench": ("bench:bench", "Measure Counterveil on scenes or on your own images."),
    "annotate": ("annotate:annotate", "Judge descriptions and answers in the terminal."),
}
"""Where each command is, and its summary: ``--help`` prints it without importing the command."""


class LazyGroup(TyperGroup):
    """A group that imports a command when it is called, so that ``--help`` is fast."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or ``None`` if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = getattr(import_module(f"counterveil.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command()(found)
            found = single
        command = get_command(found)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The summaries, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    name="counterveil",
    help="Makes unsafe images safe to look at.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    """Run the command line; an expected error ends it with one line and no traceback."""
    if not sys.warnoptions:  # a library's warning is for its programmers
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):  # names need not be UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (MachineError, OSError, MemoryError) as error:
        # OSError: a full disk, a folder that went away
        _end(str(error) or "memory ran out", "MACHINE")
    except CounterveilError as error:
        _end(str(error), "USAGE")
    except KeyboardInterrupt:
        _end("interrupted", "INTERRUPTED")


def _end(message: str, status: str) -> None:
    from counterveil.outcomes import ExitStatus  # it loads numpy, which --help does not need

    typer.echo(f"counterveil: {' '.join(message.split())}", err=True)
    sys.exit(ExitStatus[status])
