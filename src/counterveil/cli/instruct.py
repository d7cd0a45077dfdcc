"""``counterveil instruct``: questions and answers to train a reasoner on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from counterveil.lab.training.reasoner.instruct import Entry, Proposal, Review

app = typer.Typer(
    help="Make data to train a reasoner on.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def build(
    data: Annotated[Path, typer.Argument(help="Folder whose classes are categories, and safe.")],
    out: Annotated[Path, typer.Option(help="Proposals to write or to go on with, FILE.jsonl.")],
    profile: Annotated[
        str, typer.Option(help="Whose categories and questions; a profile or FILE.toml.")
    ] = "pictograms",
    reasoner: Annotated[
        str, typer.Option(help="Who proposes answers, as blip:REPO; nobody: default answers.")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Propose an answer to each question on each image; goes on where it stopped."""
    from counterveil import reasoning
    from counterveil.lab.training.reasoner.instruct import build
    from counterveil.profiles import find_profile

    made = build(
        data,
        find_profile(profile).categories,
        out,
        reasoner=reasoning.load(reasoner, device=device) if reasoner else None,
        report=lambda line: typer.echo(line, err=True),
    )
    typer.echo(f"{made} images added to {out}; next: counterveil instruct review {out}", err=True)


@app.command()
def review(
    file: Annotated[Path, typer.Argument(help="Proposals, as build wrote them.")],
    images: Annotated[
        Path | None,
        typer.Option(help="The data's folder: each image is opened in a viewer, grey and blurred."),
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Open the images as they are, in colour and sharp.")
    ] = False,
) -> None:
    """Accept or correct proposals, one by one; stop at any time, and go on later."""
    from tempfile import TemporaryDirectory

    from counterveil.lab.training.reasoner.instruct import judge

    with TemporaryDirectory() as folder:
        viewer = _Viewer(images, Path(folder), reveal) if images else None
        judge(file, _judgements(file, viewer))
    typer.echo("Saved.", err=True)


class _Viewer:
    """Opens images; grey and blurred, unless they are to be revealed.

    Args:
        images: the data's folder.
        folder: for the previews.
        reveal: show every image as it is.
    """

    def __init__(self, images: Path, folder: Path, reveal: bool) -> None:
        self._images, self._folder, self._always = images, folder, reveal

    def show(self, image: str, *, reveal: bool = False) -> None:
        """Open an image of the data."""
        from counterveil.errors import ImageError
        from counterveil.lab.training.reasoner.preview import preview

        path = self._images / image
        if not reveal and not self._always:
            try:
                shown = preview(path)
            except ImageError as error:
                typer.echo(f"  cannot be shown: {error}")
                return
            path = self._folder / "preview.png"
            path.write_bytes(shown)
        typer.launch(str(path))


def _judgements(file: Path, viewer: _Viewer | None) -> Iterator[Review]:
    from counterveil.lab.training.reasoner.instruct import pending

    shown = ""
    for entry, proposal in list(pending(file)):
        if entry.image != shown:
            shown = entry.image
            flagged = ", ".join(entry.flagged) or "safe"
            typer.echo(f"\n{entry.image} ({entry.split}; {flagged})")
            if viewer is not None:
                viewer.show(entry.image)
        review = _judgement(entry, proposal, viewer)
        if review is None:
            return
        yield review


def _judgement(entry: Entry, proposal: Proposal, viewer: _Viewer | None) -> Review | None:
    """What a person says; ``None`` to stop."""
    from counterveil.lab.training.reasoner.instruct import Review

    typer.echo(f"  {proposal.question}\n    {proposal.answer}  [{proposal.source}]")
    keys = "Enter = accept, y/n = yes/no, w = other words, q = stop"
    keys += ", r = reveal the image" if viewer else ""
    while True:
        choice = typer.prompt(f"  {keys}", default="").strip().lower()
        if choice == "r" and viewer is not None:
            viewer.show(entry.image, reveal=True)
        if choice == "":
            return Review(entry.image, proposal.key, proposal.answer, proposal.yes)
        if choice == "q":
            return None
        if choice == "w":
            words = typer.prompt("  answer").strip()
            yes = None if proposal.yes is None else words.lower().startswith("yes")
            return Review(entry.image, proposal.key, words, yes)
        if choice in ("y", "n") and proposal.yes is not None:
            words = "No." if choice == "n" else typer.prompt("  answer", default="Yes.").strip()
            return Review(entry.image, proposal.key, words, choice == "y")
