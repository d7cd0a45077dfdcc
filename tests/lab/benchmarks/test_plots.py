"""Plots show all values, and the same data give the same file."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from counterveil.errors import MissingExtraError
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.plots import (
    TABLE_TITLES,
    bar_charts,
    log_log_plot,
    power_law_exponent,
    reliability_diagram,
)

SVG = "{http://www.w3.org/2000/svg}"


def row(found, veiled):
    return {
        "found": bootstrap_mean(found).to_dict(),
        "obfuscation": bootstrap_mean(veiled).to_dict(),
    }


def results(**methods):
    return {"counterfactuals": {"searches": methods}}


def texts(svg):
    root = ElementTree.fromstring(svg)
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]


def test_bars_carry_the_means_of_all_categories():
    words = texts(bar_charts(results(
        one={"k": row([0.0], [0.9]), "all": row([1.0] * 4, [0.1, 0.3])},
        two={"k": row([0.0], [0.9]), "all": row([1.0, 0.0], [0.05])},
    )))  # fmt: skip
    assert {"100.0", "20.0", "50.0", "5.0", "one", "two", TABLE_TITLES["searches"]} <= set(words)
    assert "90.0" not in words


def test_the_only_category_stands_for_all():
    words = texts(bar_charts(results(one={"unsafe": row([1.0, 0.0], [0.5])})))
    assert "50.0" in words


def test_an_undefined_mean_is_a_dash():
    assert texts(bar_charts(results(one={"unsafe": row([0.0, 0.0], [])}))).count("–") == 1
    assert texts(bar_charts(results(one={"unsafe": row([], [])}))).count("–") == 2


def test_names_are_escaped():
    name = "a < b & <script>"
    svg = bar_charts(results(**{name: {"all": row([1.0], [0.5])}}))
    assert name in texts(svg)
    assert b"<script" not in svg


def test_every_table_has_its_bars():
    one = {"one": {"all": row([1.0], [0.5])}}
    words = texts(bar_charts({"counterfactuals": dict.fromkeys(TABLE_TITLES, one)}))
    assert set(TABLE_TITLES.values()) <= set(words)
    assert words.count("one") == words.count("100.0") == len(TABLE_TITLES)


def test_a_slope_is_the_exponent_of_a_power_law():
    points = [(x, 3 * x**1.25) for x in (1000.0, 10.0, 100.0)]
    assert power_law_exponent(points) == pytest.approx(1.25)
    svg = log_log_plot({"ours": points, "theirs": [(10, 2)]}, x="pixels", y="seconds")
    labels = {"pixels, logarithmic", "seconds, logarithmic"}
    assert {"ours, slope 1.25", "theirs", *labels} <= set(texts(svg))


def test_ticks_of_logarithmic_axes_are_plain_numbers():
    words = texts(log_log_plot({"a": [(2, 0.01), (10, 1e6)]}, x="depth", y="seconds"))
    assert {"2", "3", "4", "10", "0.01", "1,000,000"} <= set(words)
    assert not [word for word in words if "×" in word or "^" in word]


def test_a_reliability_diagram_has_axes_without_any_answer():
    bins = [{"mean_p_yes": 0.1, "frequency": 0.2, "count": 3}]
    for diagram in (reliability_diagram(bins), reliability_diagram([])):
        words = " ".join(texts(diagram))
        assert "mean P(yes)" in words and "share that is truly yes" in words


def test_every_axis_of_the_bars_says_what_it_shows():
    words = texts(bar_charts(results(one={"all": row([1.0], [0.5])})))
    assert "images with a counterfactual (%)" in words
    assert "mean veiled share of these images (%)" in words


def test_the_same_data_give_the_same_file():
    def draw():
        return bar_charts(results(one={"all": row([1.0, 0.0], [0.5])}))

    assert draw() == draw()
    assert b"<dc:date>" not in draw()


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"counterveil\[lab\]"):
        reliability_diagram([])
