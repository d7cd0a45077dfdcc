"""What importing costs, and that what is promised is there; each in a fresh process."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import counterveil

HEAVY = ("torch", "torchvision", "transformers", "numba", "skimage", "scipy", "onnxruntime",
         "ray", "fastapi")  # fmt: skip

LIGHT = (
    "import counterveil",
    "from counterveil.cli import app; from typer.testing import CliRunner; "
    "assert CliRunner().invoke(app, ['--help']).exit_code == 0",
    "import counterveil.record, counterveil.report, counterveil.categories, counterveil.images",
    "import counterveil.classifiers, counterveil.attribution, counterveil.segmentation",
    "import counterveil.search, counterveil.fills",
)


@pytest.mark.parametrize("code", LIGHT)
def test_a_fresh_process_loads_nothing_heavy(code):
    code += f"\nimport sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"


DOOR = {"cli", "errors", "config", "categories", "serialization"}
"""Rooms that asking for help may open: options are made from the configuration."""


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]], ids=" ".join)
def test_asking_for_help_loads_no_array_library(words):
    code = (
        f"import sys; sys.argv = ['counterveil', *{words}]\n"
        "from counterveil.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('\\n' + ' '.join(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert not loaded & {*HEAVY, "numpy", "PIL", "jinja2", "jsonschema", "openai", "jaxtyping"}
    rooms = {name.split(".")[1] for name in loaded if name.startswith("counterveil.")}
    assert "cli" in rooms
    assert rooms <= DOOR


def modules() -> list[str]:
    found = pkgutil.walk_packages(counterveil.__path__, "counterveil.")
    return ["counterveil", *(m.name for m in found if not m.name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_every_public_name_is_there(name):
    module = importlib.import_module(name)
    missing = [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    assert not missing
