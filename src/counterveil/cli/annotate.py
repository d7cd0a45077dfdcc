"""``counterveil annotate``: people judge descriptions and answers in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def annotate(
    samples: Annotated[
        Path,
        typer.Argument(
            help="JSON file of bench reasoning, or records.jsonl of a run.", metavar="SAMPLES"
        ),
    ],
    annotator: Annotated[str, typer.Option(help="Name of the person who judges.")],
    out: Annotated[Path, typer.Option(help="JSON Lines file; judgements are appended.")],
    originals: Annotated[
        Path | None,
        typer.Option(help="Folder of the original pictures, to show instead of the veiled ones."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the results as a Markdown page.")
    ] = None,
) -> None:
    """Judge descriptions and answers in the terminal, then show what all annotators say.

    Judgements are saved at once: stop with q, and run the command again to go on.
    """
    from counterveil.atomic import write_atomic
    from counterveil.lab.benchmarks import annotation
    from counterveil.lab.benchmarks.pages import annotation_page
    from counterveil.lab.reviewing import review

    items = annotation.read_items(samples, originals=originals)
    file = annotation.JudgementFile(out)
    queue = annotation.JudgementQueue(items, file, annotator)
    typer.echo(f"{queue.left} of {len(items)} left for {annotator}")
    review(queue, ask=input, show=typer.echo)
    page = annotation_page(annotation.summarise(items, file))
    if markdown is not None:
        write_atomic(markdown, page.encode())
    typer.echo(f"\n{page}")
