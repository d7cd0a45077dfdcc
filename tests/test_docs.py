"""The documentation is executed: links, commands, code, settings, figures and generated pages."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image

from counterveil import classifiers, reasoning
from counterveil.cli import COMMANDS, app
from counterveil.lab.scenes import draw_scene
from counterveil.profiles import PROFILES
from counterveil.types import GradientClassifier

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("examples/**/*.md")])
SOURCES = sorted(p for d in ("src", "docs", "benchmarks") for p in (ROOT / d).rglob("*.py"))
WRITTEN = [*PAGES, ROOT / "CITATION.cff", ROOT / "Makefile"]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```([\w{}-]*)[^\n]*\n(.*?)^```", re.M | re.S)
MAKEFILE_TARGET = re.compile(r"^([\w-]+):", re.M)

COMMAND = typer.main.get_command(app)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str, pages: list[Path] = PAGES) -> list[tuple[str, str]]:
    """Each fenced block of a language, and the page it stands on."""
    return [
        (name_of(page), text)
        for page in pages
        for kind, text in FENCE.findall(page.read_text("utf-8"))
        if kind == language
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each line of a shell block without its comment, and each command in a table or a sentence."""
    for page, block in blocks("sh"):
        for line in block.splitlines():
            if words := shlex.split(line, comments=True):
                yield page, words
    for page in PAGES:
        prose = FENCE.sub("", page.read_text("utf-8"))
        for command in re.findall(r"`((?:counterveil \w+ --|make )[^`]+)`", prose):
            yield name_of(page), shlex.split(command)


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(text: str) -> list[str]:
    """Anchors that headings get on code hosts and on the site."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return [re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings]


def definitions(file: Path) -> set[str]:
    """Functions, classes and methods of a source file."""
    names = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
    return names


def resolves(page: Path, target: str) -> bool:
    path, _, part = target.partition("#")
    file = (page.parent / path) if path else page
    if not file.is_file():
        return False
    if file.suffix == ".png":
        with Image.open(file) as picture:
            picture.load()
    if file.suffix == ".svg":
        ElementTree.parse(file)
    if not part:
        return True
    return part in (definitions(file) if file.suffix == ".py" else anchors(file.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_anchors_and_pictures_resolve(page):
    prose = FENCE.sub("", page.read_text("utf-8"))
    targets = [target for target in LINK.findall(prose) if not target.startswith("https://")]
    assert [target for target in targets if not resolves(page, target)] == []


def test_pictures_load_nothing_from_the_network():
    for picture in DOCS.rglob("*.svg"):
        assert not re.search(r"url\(['\"]?http|href=['\"]http", picture.read_text("utf-8")), picture


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda value: " ".join(value)[:60])
def test_commands_exist_with_these_options(page, words):
    program, *arguments = words
    if program == "make":
        targets = MAKEFILE_TARGET.findall((ROOT / "Makefile").read_text("utf-8"))
        assert {word for word in arguments if "=" not in word} <= set(targets)
    elif program == "counterveil":
        parse(arguments)
    elif program == "torchrun":
        parse(arguments[arguments.index("counterveil") + 1 :])
    elif program in ("python", ".venv/bin/python"):
        assert arguments[0] == "-m" or (ROOT / arguments[0]).is_file()
    else:
        assert program in ("pip", "npm")


def parse(arguments: list[str]) -> None:
    """Let the command line read all arguments without running the command."""
    command, name = COMMAND, "counterveil"
    if arguments == ["COMMAND", "--help"]:
        return
    while True:
        context = command.make_context(name, list(arguments))
        if not hasattr(command, "list_commands"):
            return
        name, command, arguments = command.resolve_command(
            context, context._protected_args + context.args
        )


def test_every_command_is_shown_in_an_example():
    shown = {words[1] for _, words in commands() if words[0] == "counterveil"}
    assert set(COMMANDS) <= shown


def test_the_readme_is_short_and_starts_with_what_matters():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    places = [text.index(what) for what in ("**Counterveil makes", "![", "make run", "make test")]
    assert places == sorted(places)
    assert text.index("## Citation") == max(m.start() for m in re.finditer(r"^## ", text, re.M))
    (_, first), *_ = blocks("python", [README])
    assert len(re.sub(r"\n+", "\n", first.strip()).splitlines()) == 4  # the import and three lines


def test_the_first_thirty_lines_of_the_site_say_what_it_cannot_judge():
    start = "\n".join((DOCS / "index.md").read_text("utf-8").splitlines()[:30])
    assert "cannot judge" in start or "can judge" in start
    assert "photographs mean nothing" in start and "not measured" in start and "trust" in start


@pytest.mark.parametrize("row", re.findall(r"^\|.*`make bench-\w+` \|$", README.read_text(), re.M))
def test_figures_in_the_readme_are_on_the_page_they_name(row):
    _, figures, link, _ = [cell.strip() for cell in row.strip("|").split(" | ")]
    page = (ROOT / LINK.search(link)[1]).read_text("utf-8")
    for figure in re.findall(r"[\d.]+", figures):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", page), figure


@pytest.mark.parametrize(("page", "block"), blocks("toml"), ids=lambda text: text[:40])
def test_settings_are_valid(page, block, tmp_path):
    from counterveil.config import read_config

    file = tmp_path / "counterveil.toml"
    file.write_text(block, "utf-8")
    assert read_config(file).categories


@pytest.mark.parametrize(("page", "block"), blocks("python"), ids=lambda text: text[:40])
def test_python_compiles(page, block):
    compile(block, page, "exec")


def example(page: str, start: str) -> str:
    return next(text for _, text in blocks("python", [ROOT / page]) if text.startswith(start))


def test_the_example_of_a_classifier_scores(tmp_path, monkeypatch):
    block = example("docs/howto/own-classifier.md", "# house_rules.py")
    (tmp_path / "house_rules.py").write_text(block, "utf-8")
    monkeypatch.chdir(tmp_path)
    classifier = classifiers.load("python:house_rules:make")
    scene = draw_scene(0, 0, split="test", category="self_harm", kind="unsafe").pixels
    assert 0 <= classifier.score(scene[None])[0] <= 1


def test_the_example_of_a_torch_classifier_scores(tmp_path, monkeypatch):
    import torch
    from torch import nn

    block = example("docs/howto/own-classifier.md", "# my_model.py")
    (tmp_path / "my_model.py").write_text(block, "utf-8")
    weights = {f"0.{name}": value for name, value in nn.Conv2d(3, 8, 7).state_dict().items()} | {
        f"4.{name}": value for name, value in nn.Linear(8, 2).state_dict().items()
    }
    torch.save(weights, tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    classifier = classifiers.load("python:my_model:make")
    assert isinstance(classifier, GradientClassifier)
    scene = draw_scene(0, 0, split="test", category="self_harm", kind="unsafe").pixels
    assert 0 <= classifier.score(scene[None])[0] <= 1


def test_the_three_lines_run(tmp_path, monkeypatch):
    block = example("README.md", "import counterveil")
    assert block == example("docs/index.md", "import")
    drawn = block.replace("load()", 'load("pictograms")')  # the tutorial is about drawn scenes
    assert example("docs/tutorial.md", "import") == drawn
    scene = draw_scene(0, 0, split="test", category="self_harm", kind="unsafe").pixels
    Image.fromarray(scene).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(block, names)
    assert names["examination"].record.status == "ok"
    assert any(file.suffix == ".png" for file in (tmp_path / "out").iterdir())


def test_profiles_and_specs_are_described():
    for page in (README, DOCS / "howto" / "photographs.md"):
        assert set(PROFILES) <= set(re.findall(r"^\| `(\w+)` \|", page.read_text("utf-8"), re.M))
    for page, loaders in (
        ("own-classifier.md", classifiers.LOADERS),
        ("reasoner.md", reasoning.LOADERS),
    ):
        text = (DOCS / "howto" / page).read_text("utf-8")
        assert set(re.findall(r"^\| `(\w+):", text, re.M)) == set(loaders)


def test_the_way_of_one_image_has_at_most_eight_steps_of_one_function_each():
    text = (DOCS / "explanation" / "one-image.md").read_text("utf-8")
    steps = re.findall(r"^\| \d+ \|.*$", text, re.M)
    assert 5 <= len(steps) <= 8
    assert all(len(LINK.findall(step)) == 1 and ".py#" in step for step in steps)


def test_the_log_names_commits_and_links_every_entry():
    text = (DOCS / "log.md").read_text("utf-8")
    rows = re.findall(
        r"^\| (\d{4}-\d\d-\d\d) \| \[[^\]]+\]\(#([\w-]+)\) \| `[0-9a-f]{7}`", text, re.M
    )
    assert [anchor for _, anchor in rows] == anchors(text)[1:]
    assert [date for date, _ in rows] == sorted((date for date, _ in rows), reverse=True)


@pytest.mark.parametrize("name", generator().PAGES)
def test_generated_pages_are_up_to_date(name):
    written = (DOCS / "reference" / name).read_text("utf-8")
    assert written == generator().PAGES[name](), "run `make docs`"


def test_the_site_builds_without_warnings(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m sphinx -q -W --keep-going -d doctrees {DOCS} site".split(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//", index)


@pytest.mark.parametrize("path", [*WRITTEN, *SOURCES], ids=name_of)
def test_nothing_is_left_to_do(path):
    text = path.read_text("utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text)
    assert not re.search(r"(?<![\w.])/(home|root|work|Users)/", text), "a path of one machine"
