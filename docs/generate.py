"""Write the pages of this folder that are made from the package: record.md and cli.md.

Run it with ``make docs``; a test compares the pages with what this would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def record_page() -> str:
    """The schema of a record, as tables."""
    from counterveil.record import SCHEMA_VERSION, schema

    whole = schema()
    parts = [
        "# The record",
        f"{whole['description']} One JSON object, a line of `records.jsonl` and the whole of "
        "`NAME.json`, with every key always there. The schema, JSON Schema 2020-12, ships with "
        "the package: `counterveil.record.schema()`; `counterveil.record.validate` checks a "
        f"record against it. This is version {SCHEMA_VERSION}.",
        "A *probability* is a number from 0 to 1, a *sha256* 64 hexadecimal digits in lower case; "
        "NaN and infinity are never written.",
        _table(whole),
    ]
    for name, definition in whole["$defs"].items():
        if definition.get("type") == "object":
            parts += [f"## {name}", definition["description"], _table(definition)]
    for name, inner in _nested(whole["$defs"]):
        parts += [f"## {name}", inner["description"], _table(inner)]
    return "\n\n".join([*parts, _made_by()])


def _nested(definitions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Objects that are written out within another, with the name that leads to them."""
    for name, definition in definitions.items():
        for key, value in definition.get("properties", {}).items():
            item = value.get("items", value)
            if "properties" in item:
                yield f"{name}.{key}", item


def _table(definition: Mapping[str, Any]) -> str:
    lines = ["| key | value | meaning |", "|---|---|---|"]
    for key, value in definition["properties"].items():
        lines.append(f"| `{key}` | {_kind(value)} | {value.get('description', '')} |")
    return "\n".join(lines)


def _kind(value: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in value:
        return f"*{value['$ref'].rsplit('/', 1)[1]}*"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(_kind(choice) for choice in value["anyOf"])
    kind = value["type"]
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {_kind(value['items'])}"
    if kind == "object" and isinstance(value.get("additionalProperties"), Mapping):
        return f"object of {_kind(value['additionalProperties'])}"
    return str(kind)


def cli_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from counterveil.cli import app

    parts = ["# The command line"]
    for name, command in _commands(typer.main.get_command(app), "counterveil"):
        parts += [f"## `{name}`", _first(command.help), *_options(command)]
    return "\n\n".join([*parts, _made_by()])


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for key in inner:
        yield from _commands(inner[key], f"{name} {key}")


def _first(text: str | None) -> str:
    """Help without the line breaks of its source."""
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _options(command: Any) -> Iterator[str]:
    lines = ["| option | default | what |", "|---|---|---|"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if parameter.param_type_name == "argument":
            shown = parameter.metavar or parameter.name.upper()
        else:
            shown = ", ".join(parameter.opts)
        default = parameter.default
        told = "required" if parameter.required else "" if default in (None, "") else f"`{default}`"
        if isinstance(default, bool):
            told = "yes" if default else ""
        if parameter.secondary_opts:
            shown += f" / {', '.join(parameter.secondary_opts)}"
        lines.append(f"| `{shown}` | {told} | {parameter.help or ''} |")
    yield "\n".join(lines)


def _made_by() -> str:
    return "*Made by `make docs`.*\n"


PAGES = {"record.md": record_page, "cli.md": cli_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), "utf-8")
