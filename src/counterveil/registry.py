"""Components by name and models by spec, imported only when they are constructed.

Unknown names, specs, options and devices are a ``UsageError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from counterveil.errors import MissingExtraError, UsageError

T = TypeVar("T")

WITH_FILES = frozenset(
    {"python", "resnet50", "hub", "zeroshot", "nsfwjs", "text", "blip", "hf", "worker"}
    | {"u2netp", "sam"}
)
"""Schemes whose argument may name a file, a folder or a module."""

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def lazy_callable(module: str, name: str) -> Callable[..., Any]:
    """A callable that imports ``module`` when called, and calls its ``name``."""

    def call(*args: Any, **options: Any) -> Any:
        return getattr(import_module(module), name)(*args, **options)

    return call


def import_extra(name: str, *, user: str, install: str) -> ModuleType:
    """Import a module that an extra installs.

    Args:
        name: of the module.
        user: what needs it, in the plural, for the message.
        install: the command that installs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{user} need {name}: {install}") from error


def make_component(kind: str, table: Mapping[str, Callable[..., T]], name: str, options: Any) -> T:
    """Call the constructor ``table[name]`` with keyword ``options``; ``kind`` is for messages."""
    if name not in table:
        raise UsageError(f"no {kind} is called {name!r}; choose one of {', '.join(table)}")
    try:
        return table[name](**options)
    except TypeError as error:  # an unknown option
        raise UsageError(f"{kind} {name!r}: {error}") from error


def load_spec(
    kind: str,
    table: Mapping[str, Callable[..., T]],
    spec: str,
    *,
    device: str,
    folder: Path | None = None,
) -> T:
    """Load the model that a spec ``scheme:argument`` names.

    Args:
        kind: word for messages.
        table: constructors by scheme.
        spec: of the model.
        device: torch device.
        folder: of the settings file with the spec: relative paths start there, and modules are
            found there. ``None``: the current folder.

    Raises:
        UsageError: the spec has no scheme, or an unknown one.
    """
    check_spec(kind, table, spec)
    scheme, _, argument = spec.partition(":")
    # Other schemes name nothing on this machine.
    options = {"folder": folder} if folder is not None and scheme in WITH_FILES else {}
    return table[scheme](argument, device=device, **options)


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
    """Refuse an unusable device before any model is loaded; ``cpu`` does not import torch."""
    if device == "cpu":  # always usable
        return
    if not _DEVICE.fullmatch(device):
        raise UsageError(f"no device is called {device!r}; choose cpu, cuda, cuda:1, mps or xpu")
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"device {device!r} cannot be used here: {reason}") from error
