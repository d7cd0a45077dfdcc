"""Write the reference pages that are made from the package: command line, record, configuration.

Run it with ``make docs``. A test compares the pages with what this would write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

HERE = Path(__file__).parent / "reference"
MADE_BY = "*Written by `make docs` from the package itself.*\n"


def record_page() -> str:
    """The schema of a record, as tables."""
    from counterveil.record import SCHEMA_VERSION, schema

    whole = schema()
    parts = [
        "# Record",
        "A record describes one image and what was done to it. It contains no pixels.",
        "It is one JSON object: a line of `records.jsonl`, and the content of `NAME.json`. "
        "Every key is always present.",
        "The schema (JSON Schema 2020-12) ships with the package. "
        "`counterveil.record.schema()` returns it, and `counterveil.record.validate` checks a "
        f"record against it. This page describes version {SCHEMA_VERSION}.",
        "A *probability* is a number from 0 to 1. A *sha256* is 64 hexadecimal digits in lower "
        "case. NaN and infinity do not occur.",
        _schema_table(whole),
    ]
    for name, definition in whole["$defs"].items():
        if definition.get("type") == "object":
            parts += [f"## {name}", definition["description"], _schema_table(definition)]
    for name, inner in _nested_objects(whole["$defs"]):
        parts += [f"## {name}", inner["description"], _schema_table(inner)]
    return "\n\n".join([*parts, MADE_BY])


def _nested_objects(definitions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Objects defined inline in another object, with the path that leads to them."""
    for name, definition in definitions.items():
        for key, value in definition.get("properties", {}).items():
            item = value.get("items", value)
            if "properties" in item:
                yield f"{name}.{key}", item


def _schema_table(definition: Mapping[str, Any]) -> str:
    rows = (
        (f"`{key}`", _schema_type(value), value.get("description", ""))
        for key, value in definition["properties"].items()
    )
    return _table(("key", "type", "meaning"), rows)


def _schema_type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return f"*{value['$ref'].rsplit('/', 1)[1]}*"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(_schema_type(choice) for choice in value["anyOf"])
    kind = value["type"]
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {_schema_type(value['items'])}"
    if kind == "object" and isinstance(value.get("additionalProperties"), Mapping):
        return f"object of {_schema_type(value['additionalProperties'])}"
    return str(kind)


def cli_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from counterveil.cli import app

    parts = [
        "# Command line",
        "In the project's own folder the program is `.venv/bin/counterveil`. "
        "`counterveil COMMAND --help` prints the same text.",
    ]
    for name, command in _commands(typer.main.get_command(app), "counterveil"):
        parts += [f"## `{name}`", _unwrapped(command.help)]
        if any(parameter.name != "help" for parameter in command.params):
            parts.append(_option_table(command))
    return "\n\n".join([*parts, MADE_BY])


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command, or all commands below a group; groups may import theirs when they are asked."""
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = command.context_class(command)
    for key in command.list_commands(context):
        yield from _commands(command.get_command(context, key), f"{name} {key}")


def _unwrapped(text: str | None) -> str:
    """A help text without the line breaks of its source."""
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _option_table(command: Any) -> str:
    rows = [_option(parameter) for parameter in command.params if parameter.name != "help"]
    return _table(("option", "default", "meaning"), rows)


def _option(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        name = ", ".join(parameter.opts)
    if parameter.secondary_opts:
        name += f" / {', '.join(parameter.secondary_opts)}"
    value = parameter.default
    if parameter.required:
        default = "required"
    elif isinstance(value, bool):
        default = "yes" if value else ""
    else:
        default = "" if value in (None, "") else f"`{value}`"
    kind = parameter.type_descriptor.annotation
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    listed = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    return f"`{name}`", default, (parameter.help or "") + listed


def configuration_page() -> str:
    """Every key of a settings file, from the fields of ``counterveil.config.Config``."""
    parts = [
        "# Configuration",
        "A settings file is TOML. Name it as the profile: "
        "`counterveil run photos/ --out out --profile counterveil.toml`. "
        "The keys below stand at the top of the file; every key has a default. "
        "Categories are `[[category]]` tables, described in "
        "[your own categories](../howto/own-categories.md).",
    ]
    if find_spec("counterveil.config") is not None:
        parts += _model_tables(import_module("counterveil.config").Config)
    return "\n\n".join([*parts, MADE_BY])


def _model_tables(model: Any, title: str = "") -> list[str]:
    """The table of a pydantic model, followed by those of the models it contains."""
    rows, inner = [], []
    for name, field in model.model_fields.items():
        rows.append(
            (
                f"`{field.alias or name}`",
                ", ".join([_type_name(field.annotation), *_bounds(field)]),
                _default(field),
                field.description or "",
            )
        )
        inner += [(name, one) for one in _models_in(field.annotation)]
    parts = [f"## `{title}`"] if title else []
    parts.append(_table(("key", "type", "default", "meaning"), rows))
    for name, one in inner:
        parts += _model_tables(one, f"{title}.{name}" if title else name)
    return parts


def _bounds(field: Any) -> Iterator[str]:
    for name, text in (("gt", "above"), ("ge", "at least"), ("le", "at most"), ("lt", "below")):
        for bound in field.metadata:
            if getattr(bound, name, None) is not None:
                yield f"{text} {getattr(bound, name)}"


def _models_in(annotation: Any) -> Iterator[Any]:
    if hasattr(annotation, "model_fields"):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _type_name(annotation: Any) -> str:
    """A type in the words of TOML: ``string``, ``list of string``, ``"a"`` or ``"b"``."""
    simple = {str: "string", int: "integer", float: "number", bool: "true or false", NoneType: ""}
    if annotation in simple:
        return simple[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(filter(None, map(_type_name, arguments)))
    if origin is Literal:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in arguments)
    if hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    if origin in (list, tuple, set, frozenset):
        return f"list of {_type_name(arguments[0])}" if arguments else "list"
    if origin is not None and len(arguments) == 2:
        return f"table of {_type_name(arguments[1])}"
    return "table" if hasattr(annotation, "model_fields") else annotation.__name__.lower()


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or hasattr(value, "model_fields"):
        return ""
    try:
        return f"`{json.dumps(value)}`"
    except TypeError:
        return ""


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """A cell's text on one line; a bar inside it does not end the cell."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


PAGES = {
    "cli.md": cli_page,
    "record.md": record_page,
    "configuration.md": configuration_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), "utf-8")
