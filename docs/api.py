"""Write the pages of the API reference: one a module, each public name once.

Sphinx calls this when the site is built (see ``conf.py``); the pages are not kept in the
repository. Public names are those in a module's ``__all__``, or else those defined in it.
"""

from __future__ import annotations

import inspect
import pkgutil
import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import counterveil
from counterveil import types

NOT_LIBRARY = (
    "atomic",
    "cli",
    "lab",
    "progress",
    "registry",
    "serialization",
    "service",
)
"""Commands, experiments and helpers: no part of the Python interface."""

TYPE_ALIASES = tuple(
    name
    for name, value in vars(types).items()
    if inspect.isclass(value) and hasattr(value, "dim_str")
)
"""Names in ``counterveil.types`` that stand for an array of a given shape."""


def write_pages(folder: Path, targets: Iterable[str] = ()) -> dict[str, str]:
    """Write one page a module, and one for further functions that other pages link to.

    Args:
        folder: for the pages; emptied first.
        targets: full names that must be documented, whether public or not.

    Returns:
        For each target, the full name under which it is documented.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    documented: dict[int, str] = {}
    names = [counterveil.__name__, *_module_names()]
    for name in names:
        (folder / f"{name}.rst").write_text(_page(import_module(name), documented), "utf-8")
    places, internal = {}, []
    for target in dict.fromkeys(targets):
        owner, _, method = _split(target)
        if id(_resolve(owner)) not in documented:
            documented[id(_resolve(owner))] = owner
            internal.append(_directive(owner, _resolve(owner)))
        places[target] = documented[id(_resolve(owner))] + (f".{method}" if method else "")
    text = "\n".join([_title("Internal functions"), _INTERNAL, "", *internal])
    (folder / "internal.rst").write_text(text, "utf-8")
    entries = "\n".join(f"   {name}" for name in [*names, "internal"])
    index = (
        f"{_title('Python interface')}\n{_INDEX}\n\n.. toctree::\n   :maxdepth: 1\n\n{entries}\n"
    )
    (folder / "index.rst").write_text(index, "utf-8")
    return places


_INDEX = (
    "One page a module. Each name is described once, in the module to import it from.\n"
    "Importing ``counterveil`` loads no PyTorch: names are loaded at first use."
)
_INTERNAL = (
    "These functions are no part of the interface and may change at any time. They are listed\n"
    "because the pages that explain the code link to them.\n"
)


def _module_names() -> Iterator[str]:
    for module in pkgutil.iter_modules(counterveil.__path__):
        if not module.name.startswith("_") and module.name not in NOT_LIBRARY:
            yield f"{counterveil.__name__}.{module.name}"


def _page(module: ModuleType, documented: dict[int, str]) -> str:
    summary = (inspect.getdoc(module) or "").split("\n\n")[0]
    directives, aliases, constants = [], [], []
    for name in _public_names(module):
        value = getattr(module, name)
        full_name = f"{module.__name__}.{name}"
        if name in TYPE_ALIASES:
            if module is types:
                aliases.append(f"   * - ``{name}``\n     - ``{value.__name__}``")
        elif inspect.isclass(value) or inspect.isfunction(value):
            if documented.setdefault(id(value), full_name) == full_name:
                directives.append(_directive(full_name, value))
        elif isinstance(value, Mapping):
            keys = ", ".join(f"``{key}``" for key in value)
            constants.append(f"``{name}``\n   {keys}")
    parts = [_title(module.__name__), summary, ""]
    if constants:
        parts += ["Names that can be chosen:", "", *constants, ""]
    if aliases:
        parts += [".. list-table:: Arrays, by shape and type", "", *aliases, ""]
    return "\n".join([*parts, *directives]) + "\n"


def _public_names(module: ModuleType) -> list[str]:
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("_")]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (getattr(value, "__module__", None) == module.__name__ or name in TYPE_ALIASES)
    ]


def _directive(full_name: str, value: Any) -> str:
    kind = "autoclass" if inspect.isclass(value) else "autofunction"
    if kind == "autoclass" and issubclass(value, Exception):
        kind = "autoexception"
    return f".. {kind}:: {full_name}\n"


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"


def _split(target: str) -> tuple[str, str, str]:
    """A method as its class, a dot and its name; a function or class as itself."""
    module, _, name = target.rpartition(".")
    try:
        import_module(module)
    except ModuleNotFoundError:
        return module, ".", name
    return target, "", ""


def _resolve(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
