"""``counterveil instruct``: questions and answers to train a reasoner on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from counterveil.training.reasoner.instruct import Entry, Proposal, Review

app = typer.Typer(
    help="Make data to train a reasoner on.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def build(
    data: Annotated[Path, typer.Argument(help="Folder whose classes are categories, and safe.")],
    out: Annotated[Path, typer.Option(help="Proposals to write or to go on with, FILE.jsonl.")],
    profile: Annotated[
        str, typer.Option(help="Whose categories and questions; a profile or FILE.toml.")
    ] = "proxy",
    reasoner: Annotated[
        str, typer.Option(help="Who proposes answers, as blip:REPO; nobody: default answers.")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Propose an answer to each question on each image; goes on where it stopped."""
    from counterveil import reasoning
    from counterveil.profiles import profile as find
    from counterveil.training.reasoner.instruct import build

    made = build(
        data,
        find(profile).categories,
        out,
        reasoner=reasoning.load(reasoner, device=device) if reasoner else None,
        report=lambda line: typer.echo(line, err=True),
    )
    typer.echo(f"{made} images added to {out}; next: counterveil instruct review {out}", err=True)


@app.command()
def review(
    file: Annotated[Path, typer.Argument(help="Proposals, as build wrote them.")],
    images: Annotated[
        Path | None, typer.Option(help="The data's folder: each image is opened in a viewer.")
    ] = None,
) -> None:
    """Accept or correct proposals, one by one; stop at any time, and go on later."""
    from counterveil.training.reasoner.instruct import judge

    judge(file, _judgements(file, images))
    typer.echo("Saved.", err=True)


def _judgements(file: Path, images: Path | None) -> Iterator[Review]:
    from counterveil.training.reasoner.instruct import pending

    shown = ""
    for entry, proposal in list(pending(file)):
        if entry.image != shown:
            shown = entry.image
            flagged = ", ".join(entry.flagged) or "safe"
            typer.echo(f"\n{entry.image} ({entry.split}; {flagged})")
            if images is not None:
                typer.launch(str(images / entry.image))
        review = _judgement(entry, proposal)
        if review is None:
            return
        yield review


def _judgement(entry: Entry, proposal: Proposal) -> Review | None:
    """What a person says; ``None`` to stop."""
    from counterveil.training.reasoner.instruct import Review

    typer.echo(f"  {proposal.question}\n    {proposal.answer}  [{proposal.source}]")
    while True:
        said = typer.prompt("  Enter = accept, y/n = yes/no, w = other words, q = stop", default="")
        choice = said.strip().lower()
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
