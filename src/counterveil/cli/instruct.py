"""``counterveil instruct``: questions and answers to train a reasoner on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from counterveil.lab.training.reasoner.instruction_data import Entry, Proposal, Review

app = typer.Typer(
    help="Make training data for a reasoner.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def build(
    data: Annotated[
        Path, typer.Argument(help="Folder with one folder for each category, and safe.")
    ],
    out: Annotated[Path, typer.Option(help="Proposals to write or to extend, FILE.jsonl.")],
    profile: Annotated[
        str, typer.Option(help="Profile or FILE.toml with categories and questions.")
    ] = "pictograms",
    reasoner: Annotated[
        str,
        typer.Option(help="Model that proposes answers, as blip:REPO; default answers if none."),
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Propose an answer to each question on each image; continues where it stopped."""
    from counterveil import reasoning
    from counterveil.cli.train import show_training_log
    from counterveil.lab.training.reasoner.instruction_data import build
    from counterveil.profiles import find_profile

    show_training_log()
    added = build(
        data,
        find_profile(profile).categories,
        out,
        reasoner=reasoning.load(reasoner, device=device) if reasoner else None,
    )
    typer.echo(f"{added} images added to {out}; next: counterveil instruct review {out}", err=True)


@app.command()
def review(
    file: Annotated[Path, typer.Argument(help="Proposals, as build wrote them.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Data folder; each image is opened in a viewer, grey and blurred."),
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Open the original images, in colour and sharp.")
    ] = False,
) -> None:
    """Accept or correct proposals one by one; you may stop at any time and continue later."""
    from tempfile import TemporaryDirectory

    from counterveil.lab.training.reasoner.instruction_data import save_reviews

    with TemporaryDirectory() as folder:
        viewer = _Viewer(images, Path(folder), reveal) if images else None
        save_reviews(file, _ask_for_reviews(file, viewer))
    typer.echo("Saved.", err=True)


class _Viewer:
    """Opens images of ``images``: previews from ``folder``, or the originals if ``reveal``."""

    def __init__(self, images: Path, folder: Path, reveal: bool) -> None:
        self._images, self._folder, self._reveal = images, folder, reveal

    def show(self, image: str, *, reveal: bool = False) -> None:
        """Open an image of the data, as a preview or revealed."""
        from counterveil.errors import ImageError
        from counterveil.lab.training.reasoner.instruction_data import preview

        path = self._images / image
        if not reveal and not self._reveal:
            try:
                png = preview(path)
            except ImageError as error:
                typer.echo(f"  cannot be shown: {error}")
                return
            path = self._folder / "preview.png"
            path.write_bytes(png)
        typer.launch(str(path))


def _ask_for_reviews(file: Path, viewer: _Viewer | None) -> Iterator[Review]:
    from counterveil.lab.training.reasoner.instruction_data import pending

    shown = ""
    for entry, proposal in list(pending(file)):
        if entry.image != shown:
            shown = entry.image
            flagged = ", ".join(entry.flagged) or "safe"
            typer.echo(f"\n{entry.image} ({entry.split}; {flagged})")
            if viewer is not None:
                viewer.show(entry.image)
        review = _ask_for_review(entry, proposal, viewer)
        if review is None:
            return
        yield review


def _ask_for_review(entry: Entry, proposal: Proposal, viewer: _Viewer | None) -> Review | None:
    """The reviewer's answer; ``None`` to stop."""
    from counterveil.lab.training.reasoner.instruction_data import Review

    typer.echo(f"  {proposal.question}\n    {proposal.answer}  [{proposal.source}]")
    keys = "Enter = accept, y/n = yes/no, w = other words, q = stop"
    keys += ", r = reveal the image" if viewer else ""
    while True:
        key = typer.prompt(f"  {keys}", default="").strip().lower()
        if key == "r" and viewer is not None:
            viewer.show(entry.image, reveal=True)
        if key == "":
            return Review(entry.image, proposal.key, proposal.answer, proposal.yes)
        if key == "q":
            return None
        if key == "w":
            answer = typer.prompt("  answer").strip()
            yes = None if proposal.yes is None else answer.lower().startswith("yes")
            return Review(entry.image, proposal.key, answer, yes)
        if key in ("y", "n") and proposal.yes is not None:
            answer = "No." if key == "n" else typer.prompt("  answer", default="Yes.").strip()
            return Review(entry.image, proposal.key, answer, key == "y")
