"""What a run is about to do, kept in its folder: settings and models, and one line an input.

``run.json`` says what was asked; a run that ended by itself writes the time of its end into it.
``plan.jsonl`` names the output files before any of them exists, so that no file of a run that was
cut off stays beside those of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from counterveil import __version__
from counterveil.atomic import write_atomic
from counterveil.config import Config
from counterveil.inputs import Input
from counterveil.serialization import to_plain
from counterveil.types import ModelInfo

RUN_FILE, PLAN_FILE = "run.json", "plan.jsonl"


@dataclass(frozen=True)
class RunPlan:
    """What was asked of a run.

    Attributes:
        settings: all options and categories.
        models: name, version and hash of each model.
        inputs: number of inputs.
        inputs_sha256: of their paths and names.
        finished: when the run ended by itself, UTC; empty if it was cut off.
        counterveil: version of the program.
    """

    settings: dict[str, Any]
    models: list[dict[str, str]]
    inputs: int
    inputs_sha256: str
    finished: str = ""
    counterveil: str = __version__

    def differences(self, other: RunPlan) -> list[str]:
        """How another run differs from this one, for people; empty if it would do the same."""
        found = []
        for key in sorted(self.settings.keys() | other.settings.keys()):
            old, new = self.settings.get(key), other.settings.get(key)
            if old != new:
                short = all(not isinstance(value, list | dict) for value in (old, new))
                found.append(f"{key} was {old!r} and is {new!r}" if short else f"other {key}")
        if self.models != other.models:
            found.append("other models")
        if self.inputs_sha256 != other.inputs_sha256:
            found.append(f"other inputs ({self.inputs} there, {other.inputs} now)")
        if self.counterveil != other.counterveil:
            found.append(f"Counterveil was {self.counterveil} and is {other.counterveil}")
        return found


def make_plan(config: Config, models: Sequence[ModelInfo], inputs: Sequence[Input]) -> RunPlan:
    """The plan of a run."""
    settings = config.model_dump(mode="json", exclude={"categories"})
    settings["categories"] = [category.to_dict() for category in config.categories]
    return RunPlan(
        settings=json.loads(json.dumps(settings)),  # as it will be read back: tuples become lists
        models=[to_plain(model) for model in models],
        inputs=len(inputs),
        inputs_sha256=hashlib.sha256(b"".join(_lines(inputs))).hexdigest(),
    )


def read_plan(folder: Path) -> RunPlan | None:
    """The plan of the run that wrote a folder; ``None`` if there is none that can be read."""
    with suppress(OSError, ValueError, TypeError):
        return RunPlan(**json.loads((folder / RUN_FILE).read_bytes()))
    return None


def write_plan(folder: Path, plan: RunPlan, inputs: Sequence[Input]) -> None:
    """Write both files; ``run.json`` last.

    Raises:
        OSError: a file cannot be written.
    """
    write_atomic(folder / PLAN_FILE, b"".join(_lines(inputs)))
    _write_run(folder, plan)


def finish_plan(folder: Path, plan: RunPlan, time: str) -> None:
    """Write down that the run ended by itself.

    Raises:
        OSError: the file cannot be written.
    """
    _write_run(folder, replace(plan, finished=time))


def planned_names(folder: Path) -> list[str]:
    """Output names in the plan of a folder; none if it has no plan."""
    names = []
    with suppress(OSError), (folder / PLAN_FILE).open("rb") as lines:
        for line in lines:
            with suppress(ValueError, LookupError, TypeError):
                names.append(str(json.loads(line)["output_name"]))
    return names


def _write_run(folder: Path, plan: RunPlan) -> None:
    write_atomic(folder / RUN_FILE, json.dumps(asdict(plan), indent=1).encode() + b"\n")


def _lines(inputs: Sequence[Input]) -> Iterator[bytes]:
    for item in inputs:
        values = {
            "output_name": item.output_name,
            "name": item.name,
            "path": str(item.path.absolute()),
        }
        yield json.dumps(values).encode() + b"\n"
