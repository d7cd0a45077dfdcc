"""Reasoners by spec; importing this package loads no torch.

| spec | reasoner |
|---|---|
| ``pictograms:scenes`` | shipped, for drawn pictogram scenes only |
| ``blip:REPO_OR_FOLDER`` | InstructBLIP, stock or conditioned on a control code |
| ``hf:REPO_OR_FOLDER`` | any Hugging Face image-text-to-text model, control code in the prompt |
| ``chat:URL#MODEL`` | any OpenAI-compatible server, extra ``chat`` |
| ``worker:COMMAND`` | a program that answers lines of JSON, in its own environment |
| ``python:module:factory`` | your own :class:`Reasoner` |

``blip`` and ``hf`` take options after a ``?``: ``dtype=bfloat16``, ``quantise=8`` or ``4`` (extra
``quantise``), ``device_map=auto``, ``generation=NAME``; ``hf`` also ``batch``. ``chat`` takes
``side``, ``timeout``, ``retries``, ``concurrency``, ``tokens``, ``failures`` and ``rest``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from counterveil.errors import ModelError
from counterveil.reasoning.interfaces import (
    GroundedAnswer,
    QuestionAnswer,
    Reasoner,
    ReasonerResponse,
    ask_with_grounding,
)
from counterveil.registry import lazy_callable, load_spec

__all__ = [
    "LOADERS",
    "GroundedAnswer",
    "QuestionAnswer",
    "Reasoner",
    "ReasonerResponse",
    "ask_with_grounding",
    "load",
]


def _load_external(argument: str, *, device: str = "cpu", folder: Path | None = None) -> Reasoner:
    """Call ``factory()`` of ``module:factory``; it may take a keyword ``device``.

    Raises:
        UsageError: the spec is malformed, or module or factory do not exist.
        ModelError: importing or calling failed, or the result is not a reasoner.
    """
    from counterveil.classifiers.external import call_factory

    reasoner = call_factory(argument, device=device, folder=folder)
    if not isinstance(reasoner, Reasoner):
        raise ModelError(
            f"python:{argument} returned {type(reasoner).__name__}; return a reasoner with info, "
            "supported_categories and answer"
        )
    return reasoner


LOADERS: Mapping[str, Callable[..., Reasoner]] = MappingProxyType(
    {
        "pictograms": lazy_callable("counterveil.reasoning.pictograms", "load"),
        "blip": lazy_callable("counterveil.reasoning.conditional", "load"),
        "hf": lazy_callable("counterveil.reasoning.hub", "load"),
        "chat": lazy_callable("counterveil.reasoning.openai_api", "load"),
        "worker": lazy_callable("counterveil.reasoning.worker_process", "load"),
        "python": _load_external,
    }
)


def load(spec: str, *, device: str = "cpu", folder: Path | None = None) -> Reasoner:
    """Load the reasoner of a spec.

    ``folder`` is where relative paths start and modules are found; default: the current folder.

    Raises:
        UsageError: the scheme is unknown, or the rest of the spec is malformed.
        ModelError: the model cannot be found, loaded or run.
        MissingExtraError: an extra is needed and not installed.
    """
    return load_spec("reasoner", LOADERS, spec, device=device, folder=folder)
