"""Reasoners by spec; importing this loads no torch.

| spec | what |
|---|---|
| ``proxy:scenes`` | shipped, for proxy scenes only |
| ``blip:REPO_OR_FOLDER`` | an InstructBLIP checkpoint, or one of ours |
| ``hf:REPO_OR_FOLDER`` | any Hugging Face image-text-to-text model, told of the code in words |
| ``chat:URL#MODEL`` | any OpenAI-compatible server, extra ``chat`` |
| ``worker:COMMAND`` | a peer in an environment of its own, asked by lines of JSON |
| ``python:module:factory`` | anything that answers |

``blip`` and ``hf`` take options after a ``?``: ``dtype=bfloat16``, ``quantise=8`` or ``4`` (extra
``quantise``), ``device_map=auto``, ``generation=NAME``; ``hf`` takes ``batch``, too. ``chat`` takes
``side``, ``timeout``, ``retries``, ``concurrency``, ``tokens``, ``failures`` and ``rest``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from counterveil.reasoning.base import Answered, Considered, Grounded, Reasoner, consider
from counterveil.registry import lazy_callable, load_spec

if TYPE_CHECKING:
    from counterveil.reasoning.ciit import ConditionalInstructBlip
    from counterveil.reasoning.conditional import ConditionalBlip
    from counterveil.reasoning.generation import Generation
    from counterveil.reasoning.prior import ControlSpec

__all__ = [
    "LOADERS",
    "Answered",
    "ConditionalBlip",
    "ConditionalInstructBlip",
    "Considered",
    "ControlSpec",
    "Generation",
    "Grounded",
    "Reasoner",
    "consider",
    "load",
]

_HOMES = {
    "ConditionalBlip": "conditional",
    "Generation": "generation",
    "ConditionalInstructBlip": "ciit",
    "ControlSpec": "prior",
}


LOADERS: Mapping[str, Callable[..., Reasoner]] = MappingProxyType(
    {
        "proxy": lazy_callable("counterveil.reasoning.proxy", "load"),
        "blip": lazy_callable("counterveil.reasoning.conditional", "load"),
        "hf": lazy_callable("counterveil.reasoning.hub", "load"),
        "chat": lazy_callable("counterveil.reasoning.chat", "load"),
        "worker": lazy_callable("counterveil.reasoning.worker", "load"),
        "python": lazy_callable("counterveil.reasoning.external", "load"),
    }
)


def load(spec: str, *, device: str = "cpu") -> Reasoner:
    """The reasoner of a spec.

    Raises:
        UsageError: the spec's scheme is unknown.
        ModelError: the model cannot be found, loaded or run.
        MissingExtraError: it needs an extra that is not installed.
    """
    return load_spec("reasoner", LOADERS, spec, device=device)


def __getattr__(name: str) -> Any:
    """Opened when asked for: transformers is slow to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
