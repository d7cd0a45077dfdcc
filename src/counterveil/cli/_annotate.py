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
    from counterveil.atomic import write_atomic
    from counterveil.errors import UsageError
    from counterveil.lab.benchmarks import annotation, majority
    from counterveil.lab.benchmarks.judgements import Judgements
    from counterveil.lab.benchmarks.samples import read

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
