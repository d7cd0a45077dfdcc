"""``counterveil config``, and options that every command makes from the configuration."""

from __future__ import annotations

import tomllib

import pytest
from typer.testing import CliRunner

from counterveil.cli import COMMANDS, app
from counterveil.cli.options import FILE_ONLY
from counterveil.config import Config, read_config
from counterveil.errors import UsageError
from counterveil.profiles import PROFILES


def invoke(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.mark.parametrize("name", PROFILES)
def test_show_prints_a_file_that_check_accepts(tmp_path, name):
    shown = invoke("config", "show", name)
    assert shown.exit_code == 0, shown.output
    path = tmp_path / f"{name}.toml"
    path.write_text(shown.stdout)
    assert read_config(path) == PROFILES[name]
    checked = invoke("config", "check", path)
    assert checked.exit_code == 0
    assert "valid; categories: sexually_explicit" in checked.stdout


def test_show_resolves_options(tmp_path):
    shown = invoke("config", "show", "pictograms", "--target", "0.5", "--guidance", "self_harm=1",
                   "--no-complete-objects", "--search", "greedy")  # fmt: skip
    values = tomllib.loads(shown.stdout)
    assert (values["target"], values["search"]) == (0.5, "greedy")
    assert values["complete_objects"] is False
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
