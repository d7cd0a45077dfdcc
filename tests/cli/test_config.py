"""``counterveil config``, and options that every command makes from the configuration."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import Literal, get_args, get_origin

import pytest
from typer.testing import CliRunner

from counterveil.cli import COMMANDS, app
from counterveil.cli.bench import BENCHMARKS
from counterveil.cli.options import FILE_ONLY
from counterveil.config import Config, read_config
from counterveil.errors import UsageError
from counterveil.lab.benchmarks.sizes import PARTS
from counterveil.profiles import PROFILES


def invoke(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.mark.parametrize("name", PROFILES)
def test_show_prints_a_file_that_check_accepts(tmp_path, name):
    shown = invoke("config", "show", name)
    assert shown.exit_code == 0, shown.output
    path = tmp_path / f"{name}.toml"
    path.write_text(shown.stdout)
    assert read_config(path).model_dump() == PROFILES[name].model_dump()
    checked = invoke("config", "check", path)
    assert checked.exit_code == 0
    assert "valid; categories: sexually_explicit" in checked.stdout


def test_show_resolves_options(tmp_path):
    shown = invoke("config", "show", "pictograms", "--margin", "0", "--guidance", "self_harm=1",
                   "--completion", "none", "--search", "greedy")  # fmt: skip
    values = tomllib.loads(shown.stdout)
    assert (values["margin"], values["search"]) == (0, "greedy")
    assert values["completion"] == "none"
    assert values["guidance"] == {"self_harm": 1.0}


@pytest.mark.parametrize(
    ("spec", "message"),
    [("magic:x", "unknown scheme"), ("python:a:b", "valid; categories: x")],
)
def test_check_knows_the_schemes_and_loads_no_model(tmp_path, spec, message):
    path = tmp_path / "mine.toml"
    path.write_text(f'[[category]]\nkey = "x"\ntitle = "X"\nclassifier = "{spec}"\n')
    result = invoke("config", "check", path)
    assert message in (result.stdout or str(result.exception))
    assert isinstance(result.exception, UsageError) == (spec == "magic:x")


def test_check_refuses_an_unknown_segmenter(tmp_path):
    path = tmp_path / "mine.toml"
    category = '[[category]]\nkey = "x"\ntitle = "X"\nclassifier = "python:a:b"\n'
    path.write_text('segmenter = "magic:"\n' + category)
    with pytest.raises(UsageError, match=r"object segmenter spec 'magic:'.*u2netp, sam"):
        raise invoke("config", "check", path).exception


def test_show_resolves_thresholds():
    shown = invoke(
        "config",
        "show",
        "pictograms",
        "--threshold",
        "self_harm=0.7",
        "--threshold=cyberbullying=1",
    )
    values = {c["key"]: c["threshold"] for c in tomllib.loads(shown.stdout)["category"]}
    assert values == {"sexually_explicit": 0.5, "cyberbullying": 1.0, "self_harm": 0.7}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("logos=0.5", "threshold names 'logos'; the categories are sexually_explicit, cyber"),
        ("self_harm=0", "'self_harm': threshold must be above 0 and at most 1"),
        ("self_harm=nan", "'self_harm': threshold must be above 0 and at most 1"),
        ("self_harm", "--threshold 'self_harm' must read KEY=VALUE"),
        ("self_harm=high", "--threshold 'self_harm=high' must read KEY=VALUE"),
    ],
)
def test_a_wrong_threshold_is_refused(value, message):
    with pytest.raises(UsageError, match=message):
        raise invoke("config", "show", "pictograms", "--threshold", value).exception


DEEP = 100_000
NESTED = {
    "array": "margin = " + "[" * DEEP + "]" * DEEP,
    "open array": "margin = " + "[" * DEEP,
    "inline tables": "guidance = " + "{a=" * DEEP + "1" + "}" * DEEP,
    "dotted key": "guidance" + ".a" * DEEP + " = 1",
    "quoted key": "guidance" + " . 'a b'" * DEEP + " = 1",
    "header": "[guidance" + ".a" * DEEP + "]",
    "dotted keys in inline tables": "guidance = " + ("{" + "a." * 30 + "a=") * 90 + "1" + "}" * 90,
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_nested_too_deeply_is_one_line(tmp_path, text):
    path = tmp_path / "deep.toml"
    path.write_text(text)
    command = [sys.executable, "-m", "counterveil", "config", "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"counterveil: {path}: nested too deeply for a settings file\n"


def test_text_with_many_dots_is_not_nested(tmp_path):
    path = tmp_path / "dots.toml"
    words = "e.g. this, i.e. that ... " * 50 + "a" * 100_000
    path.write_text(
        f'notice = "{words}"\n[[category]]\nkey="x"\ntitle="X"\nclassifier="python:a:b"\n'
    )
    assert read_config(path).notice == words


def test_a_number_of_5000_digits_is_refused(tmp_path):
    path = tmp_path / "long.toml"
    path.write_text(f"max_frames = {'9' * 5000}")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_config(path)


@pytest.mark.parametrize("command", [["run"], ["config", "show"]])
def test_every_choice_is_in_the_help(command):
    text = CliRunner(env={"COLUMNS": "400"}).invoke(app, [*command, "--help"]).stdout
    for field in Config.model_fields.values():
        if get_origin(field.annotation) is Literal:
            assert "|".join(get_args(field.annotation)) in text


def test_the_help_of_bench_lists_the_benchmarks_and_their_parts():
    shown = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["bench", "--help"]).stdout
    text = " ".join(shown.split())
    assert ", ".join(BENCHMARKS) in text
    assert ", ".join(PARTS) in text


@pytest.mark.parametrize("command", [["run"], ["config", "show"]])
def test_every_option_of_the_configuration_is_an_option_of_the_command(command):
    text = " ".join(
        CliRunner(env={"COLUMNS": "400"}).invoke(app, [*command, "--help"]).stdout.split()
    )
    for name, field in Config.model_fields.items():
        flag = "--" + name.replace("_", "-")
        assert (flag in text) == (name not in FILE_ONLY), name
        if name not in FILE_ONLY:
            assert " ".join(field.description.split())[:40] in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_found_by_its_name_and_described(name):
    result = invoke(name, "--help")
    assert result.exit_code == 0, result.output
    assert COMMANDS[name][1].rstrip(".")[:30] in " ".join(result.stdout.split())
