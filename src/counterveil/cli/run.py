"""``counterveil run``: examine images and write the results."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterveil.cli.options import with_config_options

if TYPE_CHECKING:
    from counterveil.cli.run_output import RunOutput
    from counterveil.inputs import FoundInputs
    from counterveil.outputs import ResultFolder


@with_config_options
def run(
    *,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or globs.", metavar="PATH...")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    profile: Annotated[
        str, typer.Option(help="photographs, pictograms, nudenet, hub, or your own FILE.toml.")
    ] = "photographs",
    files_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Also examine the paths in FILE, one in a line; - reads them."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run was cut off; do what is missing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove what an earlier run wrote there.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each loads the models.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be examined; load no model.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print each record as one line of JSON.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only what a person must look at.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print each image and each skipped file.")
    ] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Print on standard error in JSON, one event a line.")
    ] = False,
    options: dict[str, Any],
) -> None:
    """Veil the unsafe regions of images and record what was done.

    Options that are not given are taken from the profile.

    Exit status: 0 all is well; 1 some input failed; 2 usage error; 3 something was not verified
    or not assessed; 4 the machine gave out (disk, memory); 130 interrupted. Where 1 and 3 both
    apply, it is 3.
    """
    from counterveil.cli.run_output import RunOutput
    from counterveil.errors import UsageError
    from counterveil.inputs import find_inputs
    from counterveil.profiles import find_profile

    if sum((quiet, verbose, log_json)) > 1:
        raise UsageError("--quiet, --verbose and --log-json exclude each other; give one of them")
    if resume and overwrite:
        raise UsageError("--resume keeps results and --overwrite removes them; give one of them")
    mode = "quiet" if quiet else "verbose" if verbose else "json" if log_json else "normal"
    output = RunOutput(mode)  # type: ignore[arg-type]  # mypy joins the literals to str
    config = find_profile(profile, **options)
    found = find_inputs(paths or [], exclude=out, files_from=files_from)
    output.skipped(found.skipped)
    if dry_run:
        _list(found)
        return
    raise typer.Exit(
        _run(
            config, found, out, output,
            resume=resume, overwrite=overwrite, workers=workers, json_lines=json_lines,
            bar=mode == "normal",
        )
    )  # fmt: skip


def _run(
    config: Any,
    found: FoundInputs,
    out: Path,
    output: RunOutput,
    *,
    resume: bool,
    overwrite: bool,
    workers: int,
    json_lines: bool,
    bar: bool,
) -> int:
    from counterveil.batch import open_examiner
    from counterveil.outputs import ResultFolder
    from counterveil.outputs.plan import make_plan
    from counterveil.progress import progress_bar

    with open_examiner(config, out, workers=workers) as examine:
        plan = make_plan(examine.config, examine.models, found.inputs)
        with (
            ResultFolder(out, plan, found.inputs, resume=resume, overwrite=overwrite) as folder,
            _stop_on_terminate(),
        ):
            try:
                missing = folder.missing
                with progress_bar(len(missing), "veiling", shown=bar) as step:
                    for saved in examine(missing):
                        record = folder.add(saved)
                        output.image(record)
                        if json_lines:
                            typer.echo(record.to_json())
                        step()
                report = folder.finish()
            except (Exception, KeyboardInterrupt) as error:
                return _stopped(error, folder, output, len(found.inputs))
            status = folder.tally.exit_status
            output.end(
                folder.tally,
                skipped=len(found.skipped),
                not_covered=examine.config.not_covered,
                report=report,
                status=status,
            )
            return status


def _stopped(error: BaseException, folder: ResultFolder, output: RunOutput, total: int) -> int:
    """Say what stopped the run, and how to go on. A fault of ours keeps its traceback."""
    from counterveil.errors import MachineError
    from counterveil.outcomes import ExitStatus

    if isinstance(error, KeyboardInterrupt):
        reason, status = "interrupted", ExitStatus.INTERRUPTED
    elif isinstance(error, MachineError | OSError | MemoryError):
        reason, status = str(error) or "memory ran out", ExitStatus.MACHINE
    else:
        raise error
    output.stopped(reason, status, done=folder.tally.counts.total(), total=total)
    return status


def _list(found: FoundInputs) -> None:
    for item in found.inputs:
        typer.echo(f"{item.path} -> {item.output_name}.veiled.png")
    from counterveil.narrative import pluralize

    skipped = pluralize(len(found.skipped), "file")
    typer.echo(
        f"{pluralize(len(found.inputs), 'input')}, {skipped} skipped; nothing was examined",
        err=True,
    )


@contextmanager
def _stop_on_terminate() -> Iterator[None]:
    """Take SIGTERM, which a job scheduler sends, like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
