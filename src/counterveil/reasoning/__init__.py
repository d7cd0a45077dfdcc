"""Reasoning: words about an image, conditioned on what its classifiers flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterveil.reasoning.ciit import ConditionalInstructBlip
    from counterveil.reasoning.conditional import Answered, ConditionalBlip, Generation
    from counterveil.reasoning.prior import ControlSpec

__all__ = ["Answered", "ConditionalBlip", "ConditionalInstructBlip", "ControlSpec", "Generation"]

_HOMES = {
    "Answered": "conditional",
    "ConditionalBlip": "conditional",
    "Generation": "conditional",
    "ConditionalInstructBlip": "ciit",
    "ControlSpec": "prior",
}


def __getattr__(name: str) -> Any:
    """Opened when asked for: transformers is slow to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
