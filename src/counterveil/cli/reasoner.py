"""Commands ``counterveil reasoner serve`` and ``counterveil reasoner memory``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Serve a reasoner; show the memory that one needs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def serve(
    spec: Annotated[
        str, typer.Argument(help="Reasoner spec, such as pictograms:scenes or blip:REPO.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, mps.")] = "cpu",
) -> None:
    """Serve a reasoner to clients of the OpenAI chat API, at http://HOST:PORT/v1."""
    from counterveil.errors import MissingExtraError
    from counterveil.reasoning import load

    try:
        import uvicorn

        from counterveil.service.chat import create_app
    except ImportError as error:
        raise MissingExtraError(
            "serving a reasoner needs the extra: pip install 'counterveil[serve]'"
        ) from error
    app = create_app(load(spec, device=device))
    uvicorn.run(app, host=host, port=port, log_level="warning")


@app.command()
def memory() -> None:
    """Show the memory of InstructBLIP with Vicuna, computed from its configuration."""
    from counterveil.reasoning.options import vicuna_config, weight_memory

    for size in ("7b", "13b"):
        weights = weight_memory(vicuna_config(size))
        sizes = ", ".join(f"{name} {gib:.1f} GiB" for name, gib in weights.gib.items())
        typer.echo(
            f"InstructBLIP-Vicuna-{size}: {weights.parameters / 1e9:.2f} G parameters; {sizes}"
        )
