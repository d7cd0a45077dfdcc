"""Command-line options made from the fields of :class:`counterveil.config.Config`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Optional, get_origin

import typer
from annotated_types import Ge

from counterveil.config import Config
from counterveil.errors import UsageError

FILE_ONLY = frozenset({"name", "categories", "notice", "not_covered"})
"""Options that only a file can give."""


_THRESHOLD = Annotated[
    Optional[list[str]],  # noqa: UP045 - as the options below
    typer.Option(
        metavar="KEY=VALUE",
        help="Flag images of a category from this score on, above 0 and at most 1, as in "
        "self_harm=0.7. May be repeated.",
    ),
]


def with_config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of the configuration.

    The command gets them as one keyword argument, ``options``: only what was given on the command
    line. Name, help, choices and type come from the field, so that an option is written once.
    """

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in _names()}
        options = {
            name: _numbers(name, value) if _is_table(name) else value
            for name, value in given.items()
            if value not in (None, [])
        }
        thresholds = arguments.pop("threshold")
        if thresholds:
            options["thresholds"] = _numbers("threshold", thresholds)
        return command(**arguments, options=options)

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "options"]
    added = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name)
        )
        for name in _names()
    ]
    threshold = inspect.Parameter(
        "threshold", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_THRESHOLD
    )
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [threshold, *added]
    # Typer reads the signature and the annotations, and knows nothing of the wrapper.
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _names() -> list[str]:
    return [name for name in Config.model_fields if name not in FILE_ONLY]


def _annotation(name: str) -> Any:
    field = Config.model_fields[name]
    kind, help_text = field.annotation, field.description
    if _is_table(name):
        option = typer.Option(metavar="KEY=VALUE", help=f"{help_text} May be repeated.")
        return Annotated[Optional[list[str]], option]  # noqa: UP045 - made at run time
    lowest: Any = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    # Bounds of numbers with a fraction are checked by the configuration, whose message is better.
    minimum = lowest if kind is int else None
    return Annotated[Optional[kind], typer.Option(help=help_text, min=minimum)]  # noqa: UP045


def _is_table(name: str) -> bool:
    return get_origin(Config.model_fields[name].annotation) not in (None, Literal)


def _numbers(name: str, pairs: list[str]) -> Mapping[str, float]:
    """``["a=0.5"]`` to ``{"a": 0.5}``."""
    numbers = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        try:
            numbers[key] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--{name} {pair!r} must read KEY=VALUE, as in self_harm=0.5")
    return numbers
