"""A user's own reasoner: ``python:module:factory``. It runs code, which is what it is for."""

from __future__ import annotations

from counterveil.classifiers.external import call_factory
from counterveil.errors import ModelError
from counterveil.reasoning.base import Reasoner


def load(argument: str, *, device: str = "cpu") -> Reasoner:
    """The reasoner that ``factory()`` of ``module:factory`` makes.

    The factory may take a keyword ``device``; a module is looked for in the current folder too.

    Raises:
        UsageError: the spec is malformed, or names what is not there.
        ModelError: importing or calling failed, or what came back cannot answer.
    """
    made = call_factory(argument, device=device)
    if not isinstance(made, Reasoner):
        raise ModelError(
            f"python:{argument} made {type(made).__name__}; a reasoner with info, knows and "
            "answer was expected"
        )
    return made
