"""The documentation is executed: commands, code, links and generated pages."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image

from counterveil.categories import CATEGORIES
from counterveil.cli import app
from counterveil.lab.scenes import draw_scene
from counterveil.profiles import PROFILES, profile

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
WRITTEN = [*PAGES, ROOT / "CITATION.cff", ROOT / "Makefile"]
SOURCES = sorted(p for d in ("src", "docs", "benchmarks") for p in (ROOT / d).rglob("*.py"))

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)

COMMAND = typer.main.get_command(app)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text("utf-8")) if kind == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each line of a shell block, without its comment, and the page it stands on."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    yield page.name, words


def generated():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_resolve(page):
    prose = FENCE.sub("", page.read_text("utf-8"))
    wrong = []
    for target in LINK.findall(prose):
        if target.startswith("https://"):
            continue
        path, _, part = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.is_file():
            wrong.append(target)
        elif part:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
            if part not in map(anchor, headings):
                wrong.append(target)
        elif file.suffix == ".png":
            with Image.open(file) as picture:
                picture.load()
    assert not wrong


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda value: " ".join(value)[:60])
def test_a_command_is_one_that_the_program_takes(page, words):
    program, *arguments = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
        assert set(arguments) <= set(targets)
    elif program == "counterveil":
        parse(arguments)
    elif program in ("python", ".venv/bin/python"):
        assert arguments[0] == "-m" or (ROOT / arguments[0]).is_file()
    else:
        assert program == "pip"


def parse(arguments: list[str]) -> None:
    """Have the command line read the arguments, to the last one, and do nothing."""
    command, name = COMMAND, "counterveil"
    while True:
        context = command.make_context(name, list(arguments))
        if not hasattr(command, "commands"):
            return
        name, command, arguments = command.resolve_command(
            context, context._protected_args + context.args
        )


def test_the_readme_shows_every_command():
    shown = {tuple(words[1:3]) for _, words in commands() if words[0] == "counterveil"}
    for name in COMMAND.commands:
        assert any(words[0] == name for words in shown), name


def test_the_readme_starts_with_a_sentence_a_picture_and_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    places = [text.index(what) for what in ("**Counterveil makes", "![", "make run", "make test")]
    assert places == sorted(places)
    assert text.index("## Citation") == max(m.start() for m in re.finditer(r"^## ", text, re.M))
    first = blocks(ROOT / "README.md", "python")[0]
    assert len(first.strip().replace("\n\n", "\n").splitlines()) == 3


def test_the_readme_s_settings_are_read(tmp_path):
    (block,) = blocks(ROOT / "README.md", "toml")
    file = tmp_path / "counterveil.toml"
    file.write_text(block, "utf-8")
    read = profile(str(file))
    assert [category.key for category in read.categories] == ["logos", "ours"]
    assert read.attribution == "gradcam" and read.settings.target == 0.3
    assert set(tomllib.loads(block)) >= {"attribution", "segmentation", "search", "fill"}


def test_the_readme_s_own_classifier_runs(tmp_path, monkeypatch):
    from counterveil import classifiers

    block = blocks(ROOT / "README.md", "python")[1]
    (tmp_path / "house_rules.py").write_text(block, "utf-8")
    monkeypatch.chdir(tmp_path)
    classifier = classifiers.load("python:house_rules:make")
    scene = draw_scene(0, 0, split="test", category="self_harm", kind="unsafe").pixels
    assert 0 <= classifier.score(scene[None])[0] <= 1


def test_the_readme_s_three_lines_run(tmp_path, monkeypatch):
    scene = draw_scene(0, 0, split="test", category="self_harm", kind="unsafe").pixels
    Image.fromarray(scene).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(blocks(ROOT / "README.md", "python")[0], names)
    assert names["examination"].record.status == "ok"
    assert names["examination"].veiled.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", generated())
def test_generated_pages_are_up_to_date(name):
    assert (ROOT / "docs" / name).read_text("utf-8") == generated()[name](), "run `make docs`"


def test_the_readme_names_what_exists():
    text = (ROOT / "README.md").read_text("utf-8")
    for name in (*PROFILES, *CATEGORIES["faces"].classifier.split(":")[:1]):
        assert f"`{name}`" in text


@pytest.mark.parametrize("path", [*WRITTEN, *SOURCES], ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_left_to_do(path):
    text = path.read_text("utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text)
    assert not re.search(r"(?<![\w.])/(home|root|work|Users)/", text), "a path of one machine"
