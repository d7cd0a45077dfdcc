"""``counterveil instruct``: questions and answers to train a reasoner on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

    from counterveil.cli.viewer import Viewer
    from counterveil.lab.reviewing import review
    from counterveil.lab.training.reasoner.answer_queue import AnswerQueue
    from counterveil.lab.training.reasoner.instruction_data import reviews_path

    queue = AnswerQueue(file)
    with TemporaryDirectory() as folder:
        viewer = Viewer(images, Path(folder), reveal=reveal) if images else None
        review(
            queue,
            ask=input,
            show=typer.echo,
            open_image=viewer.show if viewer else None,
            reveal=viewer.reveal if viewer else None,
        )
    left = f"{queue.left} answers are left" if queue.left else "no answer is left"
    typer.echo(f"Saved in {reviews_path(file)}; {left}.", err=True)
