"""``counterveil bench``: measure, and write the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BENCHES = {"cse": "classifiers, counterfactuals and released files on the proxy scenes"}


def bench(
    name: Annotated[str, typer.Argument(help="Which; see --list.", show_default=False)] = "",
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer scenes, wider intervals.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the benches.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the figures as a Markdown page.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the models run.")] = "cpu",
) -> None:
    """Measure Counterveil against the truth of its scenes."""
    from counterveil.errors import UsageError

    if list_them:
        for known, what in BENCHES.items():
            typer.echo(f"{known:12} {what}")
        return
    if name not in BENCHES:
        raise UsageError(f"no bench is called {name!r}; choose one of {', '.join(BENCHES)}")
    if out is None:
        raise UsageError("name a file for the figures: --out FILE.json")
    from rich.console import Console
    from rich.progress import Progress

    from counterveil.evaluation import bench_cse, results
    from counterveil.images import write_atomic

    size = bench_cse.QUICK if quick else bench_cse.FULL
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("measuring", total=bench_cse.steps(size))
        figures = bench_cse.run(size, device=device, step=lambda: bar.advance(task))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, results.to_json(figures).encode())
    page = results.to_markdown(figures, quick=quick)
    if markdown is not None:
        write_atomic(markdown, page.encode())
    typer.echo(page)
