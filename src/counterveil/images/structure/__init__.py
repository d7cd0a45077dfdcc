"""How a file is built, read before any codec sees it.

Pillow stops at the first byte it does not like and keeps what it has, so that a file cut short at
the right place decodes in silence: the missing frames are not counted, the missing rows stay black
or grey. Each reader here walks its format's blocks to the proper end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

__all__ = ["CONTAINERS", "Layout", "survey"]

Reader = Callable[[bytes, Limits], Layout]


def _reader(module: str) -> Reader:
    def read(data: bytes, limits: Limits) -> Layout:
        reader: Reader = import_module(f"counterveil.images.structure.{module}").survey
        return reader(data, limits)

    return read


CONTAINERS: Mapping[str, Reader] = MappingProxyType(
    {name.upper(): _reader(name) for name in ("png", "jpeg", "gif", "webp", "tiff")}
)
"""Readers by format; a format without one is left to its codec alone."""


def survey(data: bytes, format: str, limits: Limits) -> Layout:
    """Walk a file's blocks.

    Args:
        data: the file.
        format: as ``kinds.kind`` names it.
        limits: sizes and frames are checked while walking.

    Raises:
        ImageBrokenError: it ends early or lies about itself.
        ImageTooLargeError: over a limit.
    """
    reader = CONTAINERS.get(format)
    return Layout() if reader is None else reader(data, limits)
