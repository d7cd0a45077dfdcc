"""``counterveil bench``: run a benchmark and write its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from counterveil.lab.benchmarks.datasets import ImageFolder

BENCHMARKS = {
    "cse": "classifiers, counterfactuals, rivals and released files on scenes",
    "attribution": "attribution maps on scenes: pointing games, insertion and deletion, ROAD",
    "reasoning": "descriptions and answers about scenes, with right and wrong control codes",
}

Files = Mapping[str, str | bytes]
"""The page (".md") and the pictures beside it, by suffix."""


def bench(
    name: Annotated[
        str, typer.Argument(help="Name of the benchmark; see --list.", show_default=False)
    ] = "",
    out: Annotated[Path | None, typer.Option(help="JSON file for the results.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use fewer scenes; the intervals are wider.")
    ] = False,
    list_names: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the results as a Markdown page.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, mps.")] = "cpu",
    scenes: Annotated[
        int | None,
        typer.Option(min=1, help="Scenes per category, or images, in the tables of cse."),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(help="Only this part of cse, such as released. May be repeated."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of images that cse uses instead of scenes.")
    ] = None,
    classifier: Annotated[
        str, typer.Option(help="Classifier for that folder, such as hub:REPO#LABEL.")
    ] = "",
    sam: Annotated[
        str, typer.Option(help="Checkpoint of Segment Anything, for a row of its own in cse.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted cse or attribution.")
    ] = False,
    reasoner: Annotated[
        str, typer.Option(help="Reasoner that reasoning measures, such as blip:REPO.")
    ] = "pictograms:scenes",
) -> None:
    """Measure Counterveil on scenes with ground truth, or on your own images."""
    from counterveil.errors import UsageError

    if list_names:
        for known, description in BENCHMARKS.items():
            typer.echo(f"{known:12} {description}")
        return
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark is called {name!r}; choose one of {', '.join(BENCHMARKS)}")
    if out is None:
        raise UsageError("name a file for the results: --out FILE.json")
    target = _Target(out, markdown, resume)
    command = f"counterveil bench {name}{' --quick' if quick else ''}"
    if name == "reasoning":
        _reasoning(target, command, quick=quick, device=device, reasoner=reasoner)
    elif name == "attribution":
        _attribution(target, command, quick=quick, device=device)
    elif (data is None) != (not classifier):
        raise UsageError("--data FOLDER and --classifier SPEC need each other; give both")
    else:
        from counterveil.lab.benchmarks.datasets import ImageFolder

        folder = None if data is None else ImageFolder(data, classifier, device=device)
        _cse(target, command, folder, quick=quick, scenes=scenes, parts=part or [], sam=sam,
             device=device)  # fmt: skip


@dataclass(frozen=True)
class _Target:
    """Where the results go."""

    out: Path
    markdown: Path | None
    resume: bool

    @property
    def checkpoint(self) -> Path:
        """File of the partial results."""
        return self.out.with_suffix(".partial.jsonl")

    def write(self, results: Any, files: Files) -> None:
        """Write the results, and the page with its pictures if one was asked for."""
        from counterveil.atomic import write_atomic
        from counterveil.lab.benchmarks.pages import to_json

        self.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.out, to_json(results).encode())
        if self.markdown is not None:
            for suffix, content in files.items():
                data = content.encode() if isinstance(content, str) else content
                write_atomic(self.markdown.with_suffix(suffix), data)
        typer.echo(files[".md"])


def _cse(
    target: _Target,
    command: str,
    folder: ImageFolder | None,
    *,
    quick: bool,
    scenes: int | None,
    parts: list[str],
    sam: str,
    device: str,
) -> None:
    from counterveil.lab.benchmarks import bench_cse
    from counterveil.lab.benchmarks.checkpoint import Checkpoint
    from counterveil.lab.benchmarks.pages import cse_page
    from counterveil.progress import progress_bar

    size = bench_cse.QUICK if quick else bench_cse.FULL
    if scenes is not None:
        size = replace(size, tables=scenes, searches=scenes)
        command += f" --scenes {scenes}"
    size = bench_cse.select_parts(size, parts)
    command += "".join(f" --part {part}" for part in parts)
    if folder is not None:
        command += f" --data {folder.name} --classifier '{folder.spec}'"
    settings = bench_cse.settings(size, sam=sam, folder=folder)
    checkpoint = Checkpoint(target.checkpoint, settings, resume=target.resume)
    with progress_bar(bench_cse.step_count(size, sam=sam, folder=folder)) as step:
        results = bench_cse.run(
            size, device=device, step=step, checkpoint=checkpoint, sam=sam, folder=folder
        )
    figure = "" if target.markdown is None else target.markdown.stem
    page = cse_page(results, command=command, figure=figure)
    target.write(results, {".md": page, **(_cse_pictures(results, device) if figure else {})})
    checkpoint.remove()


def _cse_pictures(results: Any, device: str) -> dict[str, bytes]:
    """The pictures that the page of ``cse`` links."""
    from counterveil.lab.benchmarks import bench_cse, datasets, example_panels, plots

    pictures = {}
    if results["counterfactuals"]:
        pictures[".svg"] = plots.bar_charts(results)
    if "released" in results:
        scenes = datasets.SceneDataset(bench_cse.SEED)
        pipeline = datasets.load_pictograms(device)
        pictures[".png"] = example_panels.example_panels(pipeline, scenes)
    return pictures


def _attribution(target: _Target, command: str, *, quick: bool, device: str) -> None:
    from counterveil.lab.benchmarks import bench_attribution
    from counterveil.lab.benchmarks.checkpoint import Checkpoint
    from counterveil.lab.benchmarks.pages import attribution_page
    from counterveil.progress import progress_bar

    size = bench_attribution.QUICK if quick else bench_attribution.FULL
    settings = bench_attribution.settings(size)
    checkpoint = Checkpoint(target.checkpoint, settings, resume=target.resume)
    with progress_bar(bench_attribution.step_count(size)) as step:
        results = bench_attribution.run(size, device=device, step=step, checkpoint=checkpoint)
    target.write(results, {".md": attribution_page(results, command=command)})
    checkpoint.remove()


def _reasoning(target: _Target, command: str, *, quick: bool, device: str, reasoner: str) -> None:
    from counterveil.lab.benchmarks import bench_reasoning
    from counterveil.lab.benchmarks.pages import reasoning_page
    from counterveil.lab.benchmarks.plots import reliability_diagram
    from counterveil.progress import progress_bar

    size = bench_reasoning.QUICK if quick else bench_reasoning.FULL
    with progress_bar(bench_reasoning.step_count(size)) as step:
        results = bench_reasoning.run(size, reasoner=reasoner, device=device, step=step)
    diagram = (target.markdown or target.out).with_suffix(".svg").name
    files: dict[str, str | bytes] = {
        ".md": reasoning_page(results, command=command, diagram=diagram)
    }
    if target.markdown is not None:
        files[".svg"] = reliability_diagram(results["calibration"]["bins"])
    target.write(results, files)
