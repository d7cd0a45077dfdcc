"""``counterveil bench`` writes figures that it measured."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from counterveil.cli import app
from counterveil.evaluation import bench_cse
from counterveil.evaluation.accuracy import scenes_needed
from counterveil.evaluation.results import to_markdown


@pytest.fixture(scope="module")
def measured():
    size = bench_cse.Size(accuracy=8, flagged=2, edge=1)
    steps = []
    figures = bench_cse.run(size, device="cpu", step=lambda: steps.append(1))
    return size, figures, len(steps)


def test_every_category_and_method_is_measured(measured):
    size, figures, steps = measured
    assert steps == bench_cse.steps(size)
    for part in ("classifiers", "released", "edges"):
        assert len(figures[part]) == 3
    assert len(figures["counterfactuals"]) >= 2
    for rows in figures["counterfactuals"].values():
        for row in rows.values():
            assert row["found"]["n"] == 2
            assert row["depth"]["mean"] <= 10
    for rows in figures["edges"].values():
        assert set(rows) == {"centre", "top", "bottom", "left", "right"}
    for row in figures["released"].values():
        assert row["verified"]["mean"] == 1
        assert 0 <= row["coverage"]["mean"] <= 1
    assert scenes_needed(8) == 12


def test_the_figures_fill_a_page(measured):
    page = to_markdown(measured[1])
    assert "self_harm" in page
    json.dumps(measured[1])


def test_benches_are_listed():
    result = CliRunner().invoke(app, ["bench", "--list"])
    assert result.exit_code == 0
    assert "cse" in result.output


@pytest.mark.parametrize("arguments", [["bench", "nonsense", "--out", "x.json"], ["bench", "cse"]])
def test_mistakes_are_answered(arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert "cse" in str(result.exception) or "--out" in str(result.exception)
