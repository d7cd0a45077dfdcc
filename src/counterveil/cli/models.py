"""``counterveil models``: which models are installed."""

from __future__ import annotations

import typer


def models() -> None:
    """List the installed models: spec, package, licence, size and hash of the weights.

    Models of the Hugging Face hub are not listed: `hf cache ls` does that.
    """
    from counterveil.classifiers.installed import installed_models

    rows = [("spec", "from", "licence", "size", "sha256")]
    rows += [
        (each.spec, each.source, each.licence, f"{each.size / 1e6:.1f} MB", each.sha256)
        for each in installed_models()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
