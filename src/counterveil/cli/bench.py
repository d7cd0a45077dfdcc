"""``counterveil bench``: run a benchmark and write its results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterveil.cli.bench_folder import Files, FolderRequest, measure_folder

BENCHMARKS = {
    "cse": "classifiers, counterfactuals, rivals and released files on scenes",
    "attribution": "attribution maps on scenes: pointing games, insertion and deletion, ROAD",
    "reasoning": "descriptions and answers about scenes, with right and wrong control codes",
}

if TYPE_CHECKING:
    from counterveil.lab.benchmarks.sizes import Size


def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="Benchmark: cse, attribution, reasoning; see --list.", show_default=False
        ),
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
        typer.Option(
            help="Only this part of cse: classifiers, paper, attributions, partitions, searches, "
            "released, edges, stability, false-alarms. May be repeated; the last two measure a "
            "folder, and only where they are named."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of images that cse uses instead of scenes.")
    ] = None,
    classifier: Annotated[
        str,
        typer.Option(
            help="Classifier for that folder, such as hub:REPO#LABEL; that of the profile if empty."
        ),
    ] = "",
    highest: Annotated[
        int,
        typer.Option(
            min=0,
            help="Take this number of images of the folder, those that score highest, and move "
            "the threshold to their lowest score. So harmless images can stand in for unsafe ones.",
        ),
    ] = 0,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="Classifier that takes no part in the search: how far does its score fall? May "
            "be repeated."
        ),
    ] = None,
    boxes: Annotated[
        str,
        typer.Option(help="Detector whose boxes veils are compared with, such as nudenet:LABEL."),
    ] = "",
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="Profile whose files are released; may be repeated for false-alarms. Default: "
            "photographs."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(help="Where the folder's images are from; one sentence for the page.")
    ] = "",
    picture: Annotated[
        Path | None,
        typer.Option(
            help="JPEG file for 16 released images before and after: ranks 1, 3, 5 and so on."
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="JPEG file for all released images before and after. What was measured is then "
            "kept beside --out, so that --resume draws other pictures at once."
        ),
    ] = None,
    sam: Annotated[
        str, typer.Option(help="Checkpoint of Segment Anything, for a row of its own in cse.")
    ] = "",
    not_shown: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a file that --picture leaves out, because it is harmless, but nothing "
            "for a screen at work. May be repeated."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted cse or attribution.")
    ] = False,
    reasoner: Annotated[
        str, typer.Option(help="Reasoner that reasoning measures, such as blip:REPO.")
    ] = "pictograms:scenes",
) -> None:
    """Measure Counterveil on scenes or on your own images."""
    from counterveil.atomic import write_atomic
    from counterveil.errors import UsageError
    from counterveil.lab.benchmarks.pages import to_json

    if list_names:
        for known, description in BENCHMARKS.items():
            typer.echo(f"{known:12} {description}")
        return
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark is called {name!r}; choose one of {', '.join(BENCHMARKS)}")
    if out is None:
        raise UsageError("name a file for the results: --out FILE.json")
    request = FolderRequest(
        data, classifier, highest, tuple(judge or ()), boxes, tuple(profile or ()), source,
        picture, sheet, tuple(not_shown or ()),
    )  # fmt: skip
    request.check(part or [])
    checkpoint = out.with_suffix(".partial.jsonl")
    page = markdown or out.with_suffix(".md")
    command = f"counterveil bench {name}{' --quick' if quick else ''}"
    if name == "reasoning":
        diagram = page.with_suffix(".svg").name
        results, files = _reasoning(
            command,
            diagram,
            quick=quick,
            device=device,
            reasoner=reasoner,
            plot=markdown is not None,
        )
    elif name == "attribution":
        results, files = _attribution(
            command, checkpoint, quick=quick, device=device, resume=resume
        )
    else:
        size = _size(part or [], quick=quick, scenes=scenes, highest=highest)
        command += "" if scenes is None else f" --scenes {scenes}"
        command += "".join(f" --part {each}" for each in part or [])
        if data is None:
            results, files = _cse(
                command, checkpoint, markdown, size, sam=sam, device=device, resume=resume
            )
        else:
            results, files = measure_folder(
                request, command, checkpoint, markdown, size, sam=sam, device=device, resume=resume
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, to_json(results).encode())
    for suffix, content in files.items() if markdown is not None else ():
        write_atomic(page.with_suffix(suffix), content)
    typer.echo(files[".md"].decode())
    if sheet is None:
        checkpoint.unlink(missing_ok=True)


def _size(parts: list[str], *, quick: bool, scenes: int | None, highest: int) -> Size:
    from counterveil.lab.benchmarks import sizes

    size = sizes.QUICK if quick else sizes.FULL
    if highest and not quick:
        size = replace(size, paper=highest, ours=highest, released=highest)
    if scenes is not None:
        size = replace(size, tables=scenes, searches=scenes)
    return sizes.select_parts(size, parts)


def _cse(
    command: str,
    path: Path,
    markdown: Path | None,
    size: Size,
    *,
    sam: str,
    device: str,
    resume: bool,
) -> tuple[Any, Files]:
    from counterveil.lab.benchmarks import bench_cse
    from counterveil.lab.benchmarks.checkpoint import Checkpoint
    from counterveil.lab.benchmarks.pages import cse_page
    from counterveil.progress import progress_bar

    with progress_bar(bench_cse.step_count(size, sam=sam)) as step:
        settings = bench_cse.settings(size, sam=sam)
        checkpoint = Checkpoint(path, settings, resume=resume, step=step)
        results = bench_cse.run(size, device=device, checkpoint=checkpoint, sam=sam)
    figure = "" if markdown is None else markdown.stem
    page = cse_page(results, command=command, figure=figure).encode()
    return results, {".md": page, **(_cse_pictures(results, device) if figure else {})}


def _cse_pictures(results: Any, device: str) -> dict[str, bytes]:
    """The pictures that the page of ``cse`` links."""
    from counterveil.lab.benchmarks import bench_cse, datasets, plots

    pictures = {}
    if results["counterfactuals"]:
        pictures[".svg"] = plots.bar_charts(results)
    if "released" in results:
        scenes = datasets.SceneDataset(bench_cse.SEED)
        pipeline = datasets.load_pictograms(device)
        pictures[".png"] = plots.example_panels(pipeline, scenes)
    return pictures


def _attribution(
    command: str, path: Path, *, quick: bool, device: str, resume: bool
) -> tuple[Any, Files]:
    from counterveil.lab.benchmarks import bench_attribution
    from counterveil.lab.benchmarks.checkpoint import Checkpoint
    from counterveil.lab.benchmarks.pages import attribution_page
    from counterveil.progress import progress_bar

    size = bench_attribution.QUICK if quick else bench_attribution.FULL
    with progress_bar(bench_attribution.step_count(size)) as step:
        settings = bench_attribution.settings(size)
        checkpoint = Checkpoint(path, settings, resume=resume, step=step)
        results = bench_attribution.run(size, device=device, checkpoint=checkpoint)
    return results, {".md": attribution_page(results, command=command).encode()}


def _reasoning(
    command: str, diagram: str, *, quick: bool, device: str, reasoner: str, plot: bool
) -> tuple[Any, Files]:
    from counterveil.lab.benchmarks import bench_reasoning
    from counterveil.lab.benchmarks.pages import reasoning_page
    from counterveil.lab.benchmarks.plots import reliability_diagram
    from counterveil.progress import progress_bar

    size = bench_reasoning.QUICK if quick else bench_reasoning.FULL
    with progress_bar(bench_reasoning.step_count(size)) as step:
        results = bench_reasoning.run(size, reasoner=reasoner, device=device, step=step)
    page = reasoning_page(results, command=command, diagram=diagram).encode()
    # Plots need an extra; without a page, none is drawn.
    plots = {".svg": reliability_diagram(results["calibration"]["bins"])} if plot else {}
    return results, {".md": page, **plots}
