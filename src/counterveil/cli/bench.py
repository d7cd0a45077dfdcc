"""``counterveil bench``: measure, and write the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

BENCHES = {
    "cse": "classifiers, counterfactuals and released files on the proxy scenes",
    "reasoning": "descriptions and answers on the proxy scenes, under right and wrong codes",
}


def bench(
    name: Annotated[str, typer.Argument(help="Which; see --list.", show_default=False)] = "",
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer scenes, wider intervals.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the benches.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the figures as a Markdown page.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the models run.")] = "cpu",
    reasoner: Annotated[
        str, typer.Option(help="Who is measured by the bench reasoning, as blip:REPO.")
    ] = "proxy:scenes",
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
    make = {"cse": _cse, "reasoning": _reasoning}[name]
    figures, page = make(quick=quick, device=device, reasoner=reasoner)
    _write(out, markdown, figures, page)


def _cse(*, quick: bool, device: str, reasoner: str) -> tuple[Any, dict[str, str]]:
    from counterveil.evaluation import bench_cse, results

    size = bench_cse.QUICK if quick else bench_cse.FULL
    with _bar(bench_cse.steps(size)) as step:
        figures = bench_cse.run(size, device=device, step=step)
    return figures, {".md": results.to_markdown(figures, quick=quick)}


def _reasoning(*, quick: bool, device: str, reasoner: str) -> tuple[Any, dict[str, str]]:
    from counterveil.evaluation import bench_reasoning, results_reasoning

    size = bench_reasoning.QUICK if quick else bench_reasoning.FULL
    with _bar(bench_reasoning.steps(size)) as step:
        figures = bench_reasoning.run(size, reasoner=reasoner, device=device, step=step)
    diagram = results_reasoning.reliability(figures["calibration"]["bins"])
    page = results_reasoning.to_markdown(figures, quick=quick)
    return figures, {".md": page, ".svg": diagram}


def _write(out: Path, markdown: Path | None, figures: Any, pages: Mapping[str, str]) -> None:
    from counterveil.evaluation import results
    from counterveil.images import write_atomic

    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, results.to_json(figures).encode())
    if markdown is not None:
        for suffix, text in pages.items():
            write_atomic(markdown.with_suffix(suffix), text.encode())
    typer.echo(pages[".md"])


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)
