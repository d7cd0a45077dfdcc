"""Components by name and models by spec, imported only when they are constructed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from counterveil.errors import UsageError

T = TypeVar("T")

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def lazy_constructor(module: str, name: str) -> Callable[..., Any]:
    """A constructor for ``module.name``; the module is imported at the first call."""

    def construct(**options: Any) -> Any:
        return getattr(import_module(module), name)(**options)

    return construct


def lazy_loader(module: str) -> Callable[..., Any]:
    """The function ``load(argument, device=...)`` of a module, imported at the first call."""

    def construct(argument: str, *, device: str = "cpu") -> Any:
        return import_module(module).load(argument, device=device)

    return construct


def make_component(kind: str, table: Mapping[str, Callable[..., T]], name: str, options: Any) -> T:
    """Construct a component by name.

    Args:
        kind: for error messages, such as ``"attribution"``.
        table: constructors by name.
        name: key in ``table``.
        options: keyword arguments of the constructor.

    Raises:
        UsageError: the name is unknown, or the constructor does not accept the options.
    """
    if name not in table:
        raise UsageError(f"no {kind} is called {name!r}; choose one of {', '.join(table)}")
    try:
        return table[name](**options)
    except TypeError as error:
        raise UsageError(f"{kind} {name!r}: {error}") from error


def load_spec(kind: str, table: Mapping[str, Callable[..., T]], spec: str, *, device: str) -> T:
    """Load the model that a spec ``scheme:argument`` names.

    Raises:
        UsageError: the spec has no scheme, or an unknown one.
    """
    check_spec(kind, table, spec)
    scheme, _, argument = spec.partition(":")
    return table[scheme](argument, device=device)


def check_spec(kind: str, table: Mapping[str, Any], spec: str) -> None:
    """Check the scheme of a spec without loading the model.

    Raises:
        UsageError: the spec has no scheme, or an unknown one.
    """
    scheme, colon, _ = spec.partition(":")
    if not colon or scheme not in table:
        raise UsageError(
            f"the {kind} spec {spec!r} has an unknown scheme; write scheme:argument "
            f"with one of the schemes {', '.join(table)}"
        )


def check_device(device: str) -> None:
    """Refuse an unusable device before any model is loaded; ``cpu`` does not import torch.

    Raises:
        UsageError: torch knows no such device, or it cannot be used on this machine.
    """
    if device == "cpu":
        return
    if not _DEVICE.fullmatch(device):
        raise UsageError(f"no device is called {device!r}; choose cpu, cuda, cuda:1, mps or xpu")
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"device {device!r} cannot be used here: {reason}") from error
