"""``counterveil bench cse --data FOLDER``: measure on a folder of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterveil.atomic import write_atomic
from counterveil.errors import UsageError

if TYPE_CHECKING:
    from counterveil.lab.benchmarks.image_folder import ImageFolder
    from counterveil.lab.benchmarks.released import Item
    from counterveil.lab.benchmarks.sizes import Size

Files = Mapping[str, bytes]
"""The page (".md") and the pictures beside it, by suffix."""


@dataclass(frozen=True)
class FolderRequest:
    """What the command line says about a folder; see the options of ``counterveil bench``."""

    data: Path | None
    classifier: str
    highest: int
    judges: tuple[str, ...]
    boxes: str
    profiles: tuple[str, ...]
    source: str
    picture: Path | None
    sheet: Path | None
    not_shown: tuple[str, ...]

    def check(self, parts: Sequence[str]) -> None:
        """Refuse options about a folder where none is named, and pictures of nothing."""
        if self.data is not None:
            if (self.picture or self.sheet) and parts and "released" not in parts:
                raise UsageError("--picture and --sheet show released files; add --part released")
            return
        given = {
            "--classifier": self.classifier, "--highest": self.highest, "--judge": self.judges,
            "--boxes": self.boxes, "--profile": self.profiles, "--source": self.source,
            "--picture": self.picture, "--sheet": self.sheet, "--not-shown": self.not_shown,
        }  # fmt: skip
        if alone := [name for name, value in given.items() if value]:
            raise UsageError(f"{', '.join(alone)}: about a folder; name it with --data FOLDER")

    def command(self, folder: ImageFolder) -> str:
        """These options as words of the command, without paths but those in specs."""
        words = [f" --data {folder.name} --classifier '{folder.spec}'"]
        words += [f" --highest {self.highest}"] if self.highest else []
        words += [f" --judge '{spec}'" for spec in self.judges]
        words += [f" --boxes '{self.boxes}'"] if self.boxes else []
        words += [f" --profile {Path(name).name}" for name in self.profiles]
        return "".join(words)


def measure_folder(
    request: FolderRequest,
    command: str,
    path: Path,
    markdown: Path | None,
    size: Size,
    *,
    sam: str,
    device: str,
    resume: bool,
) -> tuple[Any, Files]:
    """Measure, draw the pictures that were asked for, and write the page.

    Args:
        request: the folder, and options about it.
        command: start of the command, for the page.
        path: of the checkpoint.
        markdown: the page's file; ``None``: no pictures beside it.
        size: numbers of images, and parts.
        sam: checkpoint of Segment Anything; empty: none.
        device: where the models run.
        resume: go on with the checkpoint.
    """
    from counterveil.lab.benchmarks import bench_cse, plots
    from counterveil.lab.benchmarks.checkpoint import Checkpoint
    from counterveil.lab.benchmarks.image_folder import FLAGGED, FolderOptions, ImageFolder
    from counterveil.lab.benchmarks.pages import cse_page
    from counterveil.lab.benchmarks.photographs_page import folder_sections
    from counterveil.progress import progress_bar

    assert request.data is not None
    profiles = request.profiles or FLAGGED.profiles
    options = FolderOptions(request.highest, request.judges, request.boxes, profiles)
    folder = ImageFolder(request.data, request.classifier, device=device, options=options)
    with progress_bar(bench_cse.step_count(size, sam=sam, folder=folder)) as step:
        settings = bench_cse.settings(size, sam=sam, folder=folder)
        checkpoint = Checkpoint(path, settings, resume=resume, step=step)
        measures = bench_cse.folder_benchmark(size, folder, checkpoint)
        results = bench_cse.run(
            size, device=device, checkpoint=checkpoint, sam=sam, folder=folder, measures=measures
        )
    if "released" in size.parts:
        _check_names(request, measures.released_items)
        _draw(request, folder, measures.released_items)
    figure = "" if markdown is None or not results["counterfactuals"] else markdown.stem
    picture = ""
    if request.picture is not None and markdown is not None:
        picture = Path(os.path.relpath(request.picture, markdown.parent)).as_posix()
    page = cse_page(
        results,
        command=command + request.command(folder),
        figure=figure,
        source=request.source,
        sections=folder_sections(results, picture=picture, not_shown=len(request.not_shown)),
    )
    plot = {".svg": plots.bar_charts(results)} if figure else {}
    return results, {".md": page.encode(), **plot}


def _check_names(request: FolderRequest, items: Sequence[Item]) -> None:
    """A name with a typing error must not let a photograph be shown."""
    if unknown := set(request.not_shown) - {item["name"] for item in items}:
        raise UsageError(
            f"--not-shown {', '.join(sorted(unknown))}: not among the measured images; what was "
            "measured is kept, so correct the name and add --resume"
        )


def _draw(request: FolderRequest, folder: ImageFolder, items: Sequence[Item]) -> None:
    """Write the pictures that were asked for."""
    from counterveil.lab.benchmarks.contact_sheet import contact_sheet, every_second, make_pairs

    if request.picture is not None:
        pairs = make_pairs(folder, items, every_second(items, not_shown=request.not_shown))
        write_atomic(request.picture, contact_sheet(pairs))
    if request.sheet is not None:
        pairs = make_pairs(folder, items, range(len(items)))
        write_atomic(request.sheet, contact_sheet(pairs, columns=3))
