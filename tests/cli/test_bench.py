"""``counterveil bench`` measures and writes results."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from PIL import Image
from typer.testing import CliRunner

from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.lab.benchmarks import bench_cse, plots, sizes
from counterveil.lab.benchmarks.accuracy import scene_count
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.image_folder import ImageFolder
from counterveil.lab.benchmarks.methods import MINIMAL, PAPER, Method
from counterveil.lab.benchmarks.pages import cse_page
from tests.lab.benchmarks import fakes
from tests.lab.benchmarks.fakes import RedClassifier, picture

SIZE = sizes.Size(
    accuracy=8, paper=1, ours=1, released=1, edge=1, tables=3, searches=2, optimum=1,
    optimum_evaluations=40, expensive=1,
)  # fmt: skip
SPEC = "python:tests.lab.benchmarks.fakes:make"
FEW = {
    "attributions": (PAPER, Method("Grad-CAM", attribution="gradcam")),
    "partitions": (PAPER, Method("SLIC", segmentation="slic")),
    "searches": (PAPER, MINIMAL, Method("CSRA", search="csra", search_options={"regions": 2})),
}


@pytest.fixture(scope="module")
def few():
    """A few rows, so that the bench itself is tested and not each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            bench_cse,
            "method_tables",
            lambda sam="", *, has_gradients=True, expensive=True: {
                k: v for k, v in FEW.items() if has_gradients or k != "attributions"
            },
        )
        yield


@pytest.fixture(scope="module")
def measured(few):
    steps = []
    results = bench_cse.run(SIZE, device="cpu", checkpoint=Checkpoint(step=lambda: steps.append(1)))
    return results, len(steps)


@pytest.fixture
def folder(tmp_path):
    """Four images that are flagged, two that are not, one that is none, and a mask."""
    for index in range(6):
        place = tmp_path / "data" / ("unsafe" if index < 4 else "safe")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(red=index < 4)).save(place / f"{index}.png")
    (tmp_path / "data" / "notes.txt").write_text("no image")
    (tmp_path / "data" / "masks").mkdir()
    Image.fromarray(picture()).save(tmp_path / "data" / "masks" / "0.png")
    return tmp_path / "data"


def test_every_category_and_method_is_measured(measured):
    results, steps = measured
    assert steps == bench_cse.step_count(SIZE)
    for part in ("classifiers", "released"):
        assert len(results[part]) == 3
    assert list(results["edges"]) == [*results["released"], "all"]
    for name, rows in FEW.items():
        count = 2 if name == "searches" else 3
        assert list(results["counterfactuals"][name]) == [method.name for method in rows]
        for row in results["counterfactuals"][name].values():
            assert [part["images"] for part in row.values()] == [count] * 3 + [3 * count]
            assert row["self_harm"]["found"]["n"] == count
            assert all(part["depth"]["mean"] <= 10 for part in row.values() if part["depth"]["n"])
    for rows in results["edges"].values():
        assert set(rows) == {"centre", "top", "bottom", "left", "right", "any edge"}
        assert rows["any edge"]["images"] == 4 * rows["top"]["images"]
    for row in results["released"].values():
        assert row["verified"]["mean"] == 1
        assert 0 <= row["coverage"]["mean"] <= 1
    assert scene_count(8) == 9


def test_a_method_in_several_tables_is_measured_once(measured):
    tables = measured[0]["counterfactuals"]
    assert tables["attributions"][PAPER.name] == tables["partitions"][PAPER.name]


def test_an_expensive_method_is_measured_and_compared_on_fewer_scenes(monkeypatch):
    rows = {"searches": (MINIMAL, Method("BEN", search="ben", expensive=True))}
    monkeypatch.setattr(
        bench_cse, "method_tables", lambda sam="", *, has_gradients=True, expensive=True: rows
    )
    steps = []
    size = replace(SIZE, parts=("searches",), optimum=0)
    results = bench_cse.run(size, device="cpu", checkpoint=Checkpoint(step=lambda: steps.append(1)))
    counts = {
        name: row["all"]["images"] for name, row in results["counterfactuals"]["searches"].items()
    }
    assert counts == {MINIMAL.name: 6, "BEN": 3}
    assert results["comparisons"][f"{MINIMAL.name}, compared with BEN"]["images"] == 3
    assert len(steps) == bench_cse.step_count(size) == 9


def test_our_search_has_fewer_images_than_the_paper_s_settings(monkeypatch):
    rows = {"paper": (PAPER, MINIMAL)}
    monkeypatch.setattr(
        bench_cse, "method_tables", lambda sam="", *, has_gradients=True, expensive=True: rows
    )
    size = replace(SIZE, parts=("paper",), paper=5, ours=2)
    assert bench_cse.step_count(size) == 3 * (5 + 2)


def test_our_searches_are_compared_with_each_rival(measured):
    comparisons = measured[0]["comparisons"]
    assert list(comparisons) == [
        f"{MINIMAL.name}, compared with {rival}" for rival in (PAPER.name, "CSRA")
    ]
    searches = measured[0]["counterfactuals"]["searches"]
    row = comparisons[f"{MINIMAL.name}, compared with CSRA"]
    ours, rival = (searches[name]["all"] for name in (MINIMAL.name, "CSRA"))
    more = ours["found"]["mean"] - rival["found"]["mean"]
    assert row["images"] == 6
    assert row["found_difference"]["mean"] == pytest.approx(more, abs=1e-4)
    times = ours["evaluations"]["mean"] / rival["evaluations"]["mean"]
    assert row["relative_evaluations"]["mean"] == pytest.approx(times, rel=1e-3)
    assert 0 < row["evaluations_to_match"]["mean"] <= row["relative_evaluations"]["high"]
    assert "anytime_curve" not in searches[MINIMAL.name]["all"]


def test_the_results_fill_a_page(measured):
    page = cse_page(measured[0])
    assert f"| {MINIMAL.name}, compared with CSRA | 6 |" in page
    assert "| self_harm: CSRA | 2 |" in page
    assert "| all: SLIC | 9 |" in page
    assert "| above optimum |" in page
    assert "*Above optimum*" in page
    json.dumps(measured[0], allow_nan=False)


class InterruptionError(Exception):
    """The benchmark is interrupted."""


def test_an_interrupted_benchmark_is_resumed(few, folder, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(fakes, "make", lambda: made.append(RedClassifier()) or made[-1])
    size = replace(SIZE, tables=4, searches=4)
    head = bench_cse.settings(size, folder=ImageFolder(folder, SPEC, device="cpu"))

    def scored():
        return sum(each.images for each in made)

    def run(resume, most):
        steps, own = [], ImageFolder(folder, SPEC, device="cpu")

        def step():
            steps.append(1)
            if len(steps) > most:
                raise InterruptionError

        checkpoint = Checkpoint(tmp_path / "part.jsonl", head, resume=resume, step=step)
        total = bench_cse.step_count(size, folder=own)
        before = scored()
        try:
            results = bench_cse.run(size, device="cpu", checkpoint=checkpoint, folder=own)
        except InterruptionError:
            return None, 0
        assert len(steps) == total
        return results, scored() - before

    whole, cost = run(False, 10**6)
    assert run(False, 6)[0] is None
    resumed, less = run(True, 10**6)
    assert 0 < less < cost
    for results in (whole, resumed):
        for rows in results["counterfactuals"].values():
            for row in rows.values():
                del row["unsafe"]["milliseconds"]
        del results["released"]["relative_milliseconds"]
    assert resumed == whole


def test_a_folder_is_measured_without_truth(few, folder, tmp_path):
    out = tmp_path / "out" / "x.json"
    words = ["bench", "cse", "--quick", "--data", str(folder), "--classifier", SPEC]
    words += ["--scenes", "9", "--out", str(out), "--markdown", str(tmp_path / "x.md")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    results = json.loads(out.read_text())
    read = {"read": 6, "flagged": 4, "threshold": 0.5, "has_gradients": False}
    assert results["images"] == read
    assert results["measured"]["data"] == "data"
    assert str(tmp_path) not in out.read_text(), "a path of this machine"
    assert set(results["counterfactuals"]) == {"partitions", "searches", "released"}
    row = results["counterfactuals"]["searches"]["CSRA"]["unsafe"]
    assert row["images"] == 4 and "coverage" not in row
    assert "classifiers" not in results
    assert not list(out.parent.glob("*.partial*"))
    page = (tmp_path / "x.md").read_text()
    assert linked(page) == {"x.svg"} == pictures(tmp_path), "a folder's images are not shown"
    assert "of 6 images read" in page
    assert f"bench cse --quick --scenes 9 --data data --classifier '{SPEC}' --out" in page


def linked(page):
    return set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", page))


def pictures(folder):
    return {path.name for path in folder.iterdir() if path.suffix in (".svg", ".png")}


@pytest.mark.parametrize(
    ("part", "made"),
    [("partitions", {"page.svg"}), ("released", {"page.png"}), ("classifiers", set())],
)
def test_a_page_links_its_pictures(few, tmp_path, monkeypatch, part, made):
    monkeypatch.setattr(sizes, "QUICK", replace(SIZE, tables=1))
    out, page = tmp_path / "x.json", tmp_path / "page.md"
    words = ["bench", "cse", "--quick", "--part", part, "--out", str(out), "--markdown", str(page)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert linked(page.read_text()) == made == pictures(tmp_path)
    for name in made:
        start = (tmp_path / name).read_bytes()[:4]
        assert start == (b"<?xm" if name.endswith("svg") else b"\x89PNG")


def test_without_a_page_no_pictures_are_made(few, tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "QUICK", replace(SIZE, tables=1))
    monkeypatch.setattr(plots, "example_panels", None)  # fails if it is called
    words = ["bench", "cse", "--quick", "--part", "released", "--out", str(tmp_path / "x.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert not linked(result.output) and not pictures(tmp_path)


def test_a_folder_without_a_flagged_image_is_refused(tmp_path):
    Image.fromarray(picture(red=False)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="flags no image"):
        bench_cse.step_count(SIZE, folder=ImageFolder(tmp_path, SPEC, device="cpu"))


def test_benchmarks_are_listed():
    result = CliRunner().invoke(app, ["bench", "--list"])
    assert result.exit_code == 0
    assert "cse" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench", "nonsense", "--out", "x.json"],
        ["bench", "cse"],
        ["bench", "cse", "--out", "x.json", "--highest", "4"],
        ["bench", "cse", "--out", "x.json", "--data", ".", "--part", "paper", "--picture", "x.jpg"],
    ],
)
def test_usage_errors_say_what_to_do(arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    said = str(result.exception)
    assert any(word in said for word in ("cse", "--out", "--data FOLDER", "--part"))


def test_selected_parts_are_measured_only(few):
    size = sizes.select_parts(SIZE, ["released", "attributions"])
    assert size.optimum == sizes.select_parts(SIZE, ["paper"]).optimum == 0
    assert sizes.select_parts(SIZE, ["searches"]).optimum == SIZE.optimum
    steps = []
    results = bench_cse.run(size, device="cpu", checkpoint=Checkpoint(step=lambda: steps.append(1)))
    assert set(results) == {"counterfactuals", "released", "measured"}
    assert set(results["counterfactuals"]) == {"attributions"}
    assert len(steps) == bench_cse.step_count(size)
    page = cse_page(results)
    assert "above optimum" not in page.lower(), "a column of dashes"
    assert "## Released files" in page
    assert "border" not in page and "Table 4" not in page


def test_an_unknown_part_is_refused():
    with pytest.raises(UsageError, match="unknown part nothing; choose from classifiers, paper"):
        sizes.select_parts(SIZE, ["nothing"])


def test_a_checkpoint_with_other_weights_is_not_resumed(few, tmp_path, monkeypatch):
    before = bench_cse.settings(SIZE)
    assert len(before["weights"]) == 3 and all(before["weights"].values())
    path = tmp_path / "x.partial.jsonl"
    Checkpoint(path, before, resume=False)
    Checkpoint(path, bench_cse.settings(SIZE), resume=True)
    monkeypatch.setattr(bench_cse, "classifier_hashes", lambda: {"self_harm": "another"})
    with pytest.raises(UsageError):
        Checkpoint(path, bench_cse.settings(SIZE), resume=True)
