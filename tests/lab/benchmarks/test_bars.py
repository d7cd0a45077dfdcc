"""Bars that are as long as what they show."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from counterveil.lab.benchmarks.bars import WIDTH, bars
from counterveil.lab.benchmarks.interval import estimate

SVG = "{http://www.w3.org/2000/svg}"


def row(found, veiled):
    return {
        "found": estimate(found).to_dict(),
        "obfuscation": estimate(veiled).to_dict(),
    }


def figures(**methods):
    return {"counterfactuals": {"searches": methods}}


def drawn(svg):
    """Widths of the bars in the order drawn, and all words."""
    root = ElementTree.fromstring(svg)
    background, *rest = root.iter(f"{SVG}rect")
    assert background.get("fill") == "#fff"
    words = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    return [float(bar.get("width")) for bar in rest], words


def test_bars_are_proportional_to_means():
    svg = bars(figures(
        one={"k": row([0.0], [0.9]), "all": row([1.0] * 4, [0.1, 0.3])},
        two={"k": row([0.0], [0.9]), "all": row([1.0, 0.0], [0.05])},
    ))  # fmt: skip
    widths, words = drawn(svg)
    most = estimate([0.1, 0.3]).high
    expected = [1, 0.2 / most, 0.5, 0.05 / most]
    assert widths == pytest.approx([WIDTH * share for share in expected], abs=0.06)
    assert [word for word in words if word.endswith("%")][2:] == [
        "100.0 %", "20.0 %", "50.0 %", "5.0 %"
    ]  # fmt: skip
    assert "Searches: ours and the rivals'" in words


def test_intervals_go_from_low_to_high():
    svg = bars(figures(one={"all": row([1.0, 0.0, 0.0, 1.0, 1.0], [0.2])}))
    root = ElementTree.fromstring(svg)
    bar, path = list(root.iter(f"{SVG}rect"))[1], next(root.iter(f"{SVG}path"))
    start, told = float(bar.get("x")), estimate([1.0, 0.0, 0.0, 1.0, 1.0])
    low, high = (float(end.split()[0]) for end in path.get("d").split("M")[1:3])
    assert low == pytest.approx(start + WIDTH * told.low, abs=0.1)
    assert high == pytest.approx(start + WIDTH * told.high, abs=0.1)
    assert low < high


def test_what_was_not_found_has_a_dash_and_no_bar():
    widths, words = drawn(bars(figures(one={"unsafe": row([0.0, 0.0], [])})))
    assert widths == [0]
    assert words.count("–") == 1
    assert drawn(bars(figures(one={"unsafe": row([], [])})))[0] == []


def test_the_only_category_stands_for_all():
    widths, _ = drawn(bars(figures(one={"unsafe": row([1.0, 0.0], [0.5])})))
    assert widths == [WIDTH / 2, WIDTH]


def test_names_are_escaped():
    name = "a < b & <script>"
    svg = bars(figures(**{name: {"all": row([1.0], [0.5])}}))
    assert name in drawn(svg)[1]
    assert "<script" not in svg


def test_every_table_has_its_bars_within_the_picture():
    one = {"one": {"all": row([1.0], [0.5])}}
    svg = bars({"counterfactuals": {"paper": one, "partitions": one, "searches": one}})
    root = ElementTree.fromstring(svg)
    _, *rest = root.iter(f"{SVG}rect")
    assert len(rest) == 6
    assert len({bar.get("y") for bar in rest}) == 3
    assert max(float(bar.get("x")) + WIDTH for bar in rest) < float(root.get("width"))
    assert max(float(bar.get("y")) for bar in rest) < float(root.get("height"))
    assert root.get("role") == "img" and root.get("aria-label")
