"""``counterveil reasoner``: serve one, and what one needs."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Serve a reasoner; tell what one needs.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def serve(
    spec: Annotated[str, typer.Argument(help="Which, as proxy:scenes or blip:REPO.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Serve a reasoner to any client of the OpenAI chat API, at http://HOST:PORT/v1."""
    from counterveil.errors import MissingExtraError
    from counterveil.reasoning import load

    try:
        import uvicorn

        from counterveil.service.chat import app as make
    except ImportError as error:
        raise MissingExtraError("serving needs the extra: pip install 'counterveil[serve]'") from (
            error
        )
    uvicorn.run(make(load(spec, device=device)), host=host, port=port, log_level="warning")


@app.command()
def memory() -> None:
    """What the weights of InstructBLIP with Vicuna need, computed from the configurations."""
    from counterveil.reasoning.memory import memory, vicuna

    for size in ("7b", "13b"):
        needs = memory(vicuna(size))
        told = ", ".join(f"{name} {gib:.1f} GiB" for name, gib in needs.gib.items())
        typer.echo(f"InstructBLIP-Vicuna-{size}: {needs.parameters / 1e9:.2f} G parameters; {told}")
