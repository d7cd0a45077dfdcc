"""Commands ``counterveil reasoner serve`` and ``counterveil reasoner memory``."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Annotated

import typer

from counterveil.errors import MissingExtraError, UsageError

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
    """Serve a reasoner to clients of the OpenAI chat API, at http://HOST:PORT/v1.

    Prints, once it accepts connections, the spec by which a profile names it. With --port 0 the
    system chooses the port.
    """
    from counterveil.reasoning import load

    try:
        import uvicorn

        from counterveil.service.chat import create_app
    except ImportError as error:
        raise MissingExtraError(
            "serving a reasoner needs the extra: pip install 'counterveil[serve]'"
        ) from error
    reasoner = load(spec, device=device)
    server = uvicorn.Server(uvicorn.Config(create_app(reasoner), log_level="warning"))
    # Opened here, not by uvicorn: its port is known, and connections wait from now on.
    with _listen(host, port) as listener, suppress(KeyboardInterrupt):
        model = reasoner.info.name.partition("?")[0]
        typer.echo(f'listening; in a profile: reasoner = "chat:{_url(listener)}#{model}"')
        server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((address[0], port), family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port} ({error.strerror}); choose another --host or "
            "--port"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


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
