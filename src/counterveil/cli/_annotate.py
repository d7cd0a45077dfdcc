"""``counterveil bench reasoning --annotate NAME``: people judge, in the terminal."""

from __future__ import annotations

from pathlib import Path

import typer


def annotate(
    annotator: str,
    samples: Path | None,
    out: Path,
    *,
    originals: Path | None = None,
    markdown: Path | None = None,
) -> None:
    """Ask the annotator about what they have not judged yet, then show what all of them say."""
    from counterveil.errors import UsageError
    from counterveil.evaluation import annotation, majority
    from counterveil.evaluation.judgements import Judgements
    from counterveil.evaluation.samples import read
    from counterveil.images import write_atomic

    if samples is None:
        raise UsageError("name what is to be judged: --samples FILE")
    items, store = read(samples, originals=originals), Judgements(out)
    annotation.annotate(items, store, annotator, ask=_ask, say=typer.echo)
    page = majority.to_markdown(majority.summary(items, store))
    if markdown is not None:
        write_atomic(markdown, page.encode())
    typer.echo(f"\n{page}")


def _ask(prompt: str) -> str:
    return input(f"{prompt}: ")
