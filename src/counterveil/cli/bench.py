"""``counterveil bench``: measure, and write the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from counterveil.lab.benchmarks.resume import Saved
    from counterveil.lab.benchmarks.subjects import Folder

BENCHES = {
    "cse": "classifiers, counterfactuals, rivals and released files on the proxy scenes",
    "attribution": "maps on the proxy scenes: pointing games, insertion and deletion, ROAD",
    "reasoning": "descriptions and answers on the proxy scenes, under right and wrong codes",
}

Pages = Mapping[str, str | bytes]
"""The page and the pictures beside it, by suffix."""


def bench(
    name: Annotated[str, typer.Argument(help="Which; see --list.", show_default=False)] = "",
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer scenes, wider intervals.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the benches.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the figures as a Markdown page.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the models run.")] = "cpu",
    scenes: Annotated[
        int | None,
        typer.Option(min=1, help="Scenes a category, or images, for the tables of bench cse."),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(help="Only this part of bench cse, as released; can be given again."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of images to run bench cse on instead of the scenes."),
    ] = None,
    classifier: Annotated[
        str, typer.Option(help="Whose flags count in that folder, as hub:REPO#LABEL.")
    ] = "",
    sam: Annotated[
        str, typer.Option(help="Checkpoint of Segment Anything, for a row of bench cse.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Take up where bench cse or attribution was cut off.")
    ] = False,
    reasoner: Annotated[
        str, typer.Option(help="Who is measured by the bench reasoning, as blip:REPO.")
    ] = "pictograms:scenes",
    annotate: Annotated[
        str | None,
        typer.Option(help="Judge --samples in the terminal under this name, into --out as JSONL."),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="What is judged: JSON of bench reasoning, or records.jsonl of a run."),
    ] = None,
    originals: Annotated[
        Path | None,
        typer.Option(help="Folder of the original pictures, to judge by those, not the veiled."),
    ] = None,
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
    if annotate is not None:
        from counterveil.cli import _annotate

        _annotate.annotate(annotate, samples, out, originals=originals, markdown=markdown)
        return
    if name == "reasoning":
        diagram = (markdown or out).with_suffix(".svg").name
        words = _reasoning(quick=quick, device=device, reasoner=reasoner, diagram=diagram)
        _write(out, markdown, *words)
        return
    if name == "attribution":
        partial = out.with_suffix(".partial.jsonl")
        figures, pages, saved = _attribution(partial, quick=quick, device=device, resume=resume)
        _write(out, markdown, figures, pages)
        saved.remove()
        return
    if (data is None) != (not classifier):
        raise UsageError("--data FOLDER and --classifier SPEC go together")
    folder = None if data is None else _folder(data, classifier, device)
    partial = out.with_suffix(".partial.jsonl")
    figure = "" if markdown is None else markdown.stem
    asked = _Asked(quick, scenes, tuple(part or ()), sam, device, resume, partial, figure)
    figures, pages, saved = _cse(asked, folder)
    _write(out, markdown, figures, pages)
    saved.remove()


@dataclass(frozen=True)
class _Asked:
    """What was asked of the bench cse."""

    quick: bool
    scenes: int | None
    parts: tuple[str, ...]
    sam: str
    device: str
    resume: bool
    partial: Path
    figure: str

    def command(self, folder: Folder | None) -> str:
        """As it is shown on the page."""
        words = ["counterveil bench cse", *(["--quick"] if self.quick else [])]
        words += [f"--scenes {self.scenes}"] if self.scenes else []
        words += [f"--part {part}" for part in self.parts]
        words += [f"--data {folder.name} --classifier '{folder.spec}'"] if folder else []
        return " ".join(words)


def _folder(data: Path, classifier: str, device: str) -> Folder:
    from counterveil.lab.benchmarks.subjects import Folder

    return Folder(data, classifier, device=device)


def _cse(asked: _Asked, folder: Folder | None) -> tuple[Any, Pages, Saved]:
    from counterveil.lab.benchmarks import bench_cse, results
    from counterveil.lab.benchmarks.resume import Saved
    from counterveil.progress import progress_bar

    size = bench_cse.QUICK if asked.quick else bench_cse.FULL
    if asked.scenes is not None:
        size = replace(size, tables=asked.scenes, searches=asked.scenes)
    size = bench_cse.only(size, asked.parts)
    heading = bench_cse.heading(size, sam=asked.sam, folder=folder)
    saved = Saved(asked.partial, heading, resume=asked.resume)
    with progress_bar(bench_cse.steps(size, sam=asked.sam, folder=folder)) as step:
        figures = bench_cse.run(
            size, device=asked.device, step=step, saved=saved, sam=asked.sam, folder=folder
        )
    page = results.to_markdown(figures, command=asked.command(folder), figure=asked.figure)
    pictures = _pictures(figures, asked.device) if asked.figure else {}
    return figures, {".md": page, **pictures}, saved


def _pictures(figures: Any, device: str) -> dict[str, str | bytes]:
    """What the page of the bench cse links."""
    from counterveil import profiles
    from counterveil.lab.benchmarks import bars, bench_cse, strips, subjects

    pictures: dict[str, str | bytes] = {}
    if figures["counterfactuals"]:
        pictures[".svg"] = bars.bars(figures)
    if "released" in figures:
        wordless = profiles.Overrides(reasoner="")
        pipeline = profiles.from_profile("proxy", overrides=wordless, device=device)
        pictures[".png"] = strips.strips(pipeline, subjects.Scenes(bench_cse.SEED))
    return pictures


def _attribution(
    partial: Path, *, quick: bool, device: str, resume: bool
) -> tuple[Any, Pages, Saved]:
    from counterveil.lab.benchmarks import bench_attribution, results_attribution
    from counterveil.lab.benchmarks.resume import Saved
    from counterveil.progress import progress_bar

    size = bench_attribution.QUICK if quick else bench_attribution.FULL
    saved = Saved(partial, bench_attribution.heading(size), resume=resume)
    with progress_bar(bench_attribution.steps(size)) as step:
        figures = bench_attribution.run(size, device=device, step=step, saved=saved)
    return figures, {".md": results_attribution.to_markdown(figures, quick=quick)}, saved


def _reasoning(*, quick: bool, device: str, reasoner: str, diagram: str) -> tuple[Any, Pages]:
    from counterveil.lab.benchmarks import bench_reasoning, results_reasoning
    from counterveil.progress import progress_bar

    size = bench_reasoning.QUICK if quick else bench_reasoning.FULL
    with progress_bar(bench_reasoning.steps(size)) as step:
        figures = bench_reasoning.run(size, reasoner=reasoner, device=device, step=step)
    drawn = results_reasoning.reliability(figures["calibration"]["bins"])
    page = results_reasoning.to_markdown(figures, quick=quick, diagram=diagram)
    return figures, {".md": page, ".svg": drawn}


def _write(out: Path, markdown: Path | None, figures: Any, pages: Pages) -> None:
    from counterveil.atomic import write_atomic
    from counterveil.lab.benchmarks import results

    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, results.to_json(figures).encode())
    if markdown is not None:
        for suffix, page in pages.items():
            data = page.encode() if isinstance(page, str) else page
            write_atomic(markdown.with_suffix(suffix), data)
    typer.echo(pages[".md"])
