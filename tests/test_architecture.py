"""The house rules, read from the syntax trees: imports inside functions count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "counterveil"

HOUSE = (
    "errors", "types", "atomic", "serialization", "record_schema", "registry", "progress",
    "images",
    "categories", "fills", "classifiers", "attribution", "segmentation", "search", "masking",
    "reasoning",
    "config", "record", "outcomes", "narrative", "pipeline", "profiles", "report", "inputs",
    "outputs",
    "store", "batch", "service", "lab", "cli", "__main__",
)  # fmt: skip
"""Top to bottom: a room may import only rooms that come before it. The package itself
(``counterveil/__init__.py``) is the door: anyone may read its version, it may open any room."""

ONLY = {
    "errors": set(),
    "types": set(),
    "atomic": set(),
    "categories": {"errors", "serialization"},
    "config": {"errors", "categories", "fills", "images"},
    "fills": {"errors", "types"},
    "search": {"errors", "types", "fills", "registry"},
    "record": {"errors", "types", "serialization", "record_schema"},
    "outcomes": {"record"},
    "narrative": {"record", "outcomes"},
    "report": {"errors", "types", "atomic", "serialization", "record", "outcomes", "narrative"},
    "images": {"errors", "types"},
    "segmentation": {"errors", "types", "registry", "classifiers"},
}
"""Rooms that may import less than all above them."""

RUN_TIME = set(HOUSE[: HOUSE.index("lab")])
HEAVY = {"torch", "torchvision", "transformers", "numba", "skimage"}
WITHOUT_TORCH = {
    "errors", "types", "atomic", "serialization", "record_schema", "images", "categories",
    "fills",
    "search", "record", "outcomes", "narrative", "report", "inputs", "outputs", "store", "config",
}  # fmt: skip

LINES_A_FILE = 300
LINES_A_FUNCTION = 60

FILES = sorted(SRC.rglob("*.py"))
assert FILES


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def for_types_only(tree: ast.Module) -> set[int]:
    """Ids of the nodes under ``if TYPE_CHECKING``, which never run."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }


def imports(path: Path, *, at_top: bool = False) -> Iterator[tuple[str, int]]:
    """Every imported name with its line; ``at_top``: only those that importing the file runs."""
    tree = tree_of(path)
    skipped = for_types_only(tree)
    if at_top:
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        skipped |= {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if at_top and id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in MODULES else str(node.module)), node.lineno


def ours(path: Path) -> Iterator[tuple[str, int]]:
    for name, line in imports(path):
        if name.split(".")[0] == "counterveil":
            yield name, line


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(SRC.parent)}:{line}"


def test_every_room_stands_in_the_house():
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms <= set(HOUSE), "a new room: give it its place in HOUSE"


def test_a_room_imports_only_rooms_above_it():
    wrong = []
    for module, path in MODULES.items():
        room = room_of(module)
        if not room:
            continue
        allowed = ONLY.get(room, set(HOUSE[: HOUSE.index(room)])) | {room, ""}
        wrong += [
            f"{where(path, line)}: {room} imports {name}"
            for name, line in ours(path)
            if room_of(name) not in allowed
        ]
    assert not wrong, "\n".join(wrong)


def test_run_time_rooms_never_import_the_laboratory():
    wrong = [
        f"{where(path, line)}: imports {name}"
        for module, path in MODULES.items()
        if room_of(module) in RUN_TIME
        for name, line in ours(path)
        if room_of(name) == "lab"
    ]
    assert not wrong, "\n".join(wrong)


def test_rooms_that_need_no_torch_import_none():
    wrong = [
        f"{where(path, line)}: imports {name}"
        for module, path in MODULES.items()
        if room_of(module) in WITHOUT_TORCH
        for name, line in imports(path)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_import_each_other_in_no_circle():
    # A package's __init__ runs before its modules, so a module that needs what its own package
    # has already defined is in order; only circles between different files are looked for.
    graph = {
        module: {name for name, _ in imports(path, at_top=True) if name in MODULES} - {module}
        for module, path in MODULES.items()
    }
    for module in graph:
        graph[module] = {name for name in graph[module] if not module.startswith(f"{name}.")}
    order: list[str] = []

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in order:
            for name in sorted(graph[module]):
                visit(name, (*trail, module))
            order.append(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: module_of(path))
def test_a_file_says_what_it_is_and_stays_short(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree), "a module without a docstring"
    lines = path.read_text("utf-8").count("\n") - documentation(tree)
    assert lines <= LINES_A_FILE, f"{lines} lines beside docstrings; split it by idea"
    long = {
        node.name: span
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (span := length(node)) > LINES_A_FUNCTION
    }
    assert not long, f"functions of more than {LINES_A_FUNCTION} lines: {long}"


def documentation(tree: ast.Module) -> int:
    """Lines of all docstrings of a file."""
    return sum(
        node.value.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0
