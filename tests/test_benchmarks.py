"""Functions that the benchmark scripts share; `make bench-speed` runs the scripts themselves."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from counterveil.images import load
from tests import corpus

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name in (
        "measuring",
        "bass_quality",
        "page",
        "authors",
        "authors_page",
        "rivals_vs_authors",
        "corpora",
        "corpora_page",
        "corpora_file",
        "independent",
        "faces",
    ):
        sys.modules.pop(name, None)


def test_boundary_recall_tolerates_the_radius(shared):
    boundary_recall = shared("bass_quality").boundary_recall
    halves = np.repeat([[0, 0, 0, 1, 1, 1]], 4, axis=0)
    found = np.repeat([[0, 0, 0, 0, 1, 1]], 4, axis=0)
    assert boundary_recall(found, halves) == 0
    assert boundary_recall(found, halves, radius=1) == 1
    assert boundary_recall(halves * 0, halves, radius=3) == 0
    assert boundary_recall(found, halves * 0) == 1


def test_the_radius_of_boundary_recall_grows_with_the_image(shared):
    boundary_recall = shared("bass_quality").boundary_recall
    truth, found = np.zeros((2, 800, 600), dtype=int)  # diagonal 1000: reach 2
    truth[:, 300:] = found[:, 302:] = 1
    assert boundary_recall(found, truth) == 1
    found[:, 302] = 0
    assert boundary_recall(found, truth) == 0


def test_ratios_are_of_rounds_and_times_are_taken_in_turn(shared):
    measuring, order = shared("measuring"), []
    times = measuring.time_alternately(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2
    )
    assert order == ["a", "b", "a", "b"] and [len(v) for v in times.values()] == [2, 2]
    assert measuring.ratios([2, 9, 8], [1, 3, 1]) == {"median": 3.0, "min": 2.0, "max": 8.0}


def test_the_peak_of_a_process_is_its_own(shared, tmp_path):
    measuring = shared("measuring")
    kept = np.ones(60_000_000, np.uint8)  # of this process, not of the started one
    script = tmp_path / "child.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "import json, measuring\n"
        "before = measuring.reset_peak(); block = bytearray(b'x') * 40_000_000; del block\n"
        "print('a line'); print(json.dumps({'own': measuring.peak_megabytes() - before}))\n"
    )
    found = measuring.run_script(str(script))
    assert 35 < found["own"] < 55
    assert kept.all()


def test_a_child_that_fails_ends_the_script_with_its_words(shared, tmp_path):
    (tmp_path / "child.py").write_text("raise ValueError('no such method')")
    with pytest.raises(SystemExit, match="no such method"):
        shared("measuring").run_script(str(tmp_path / "child.py"))


def test_a_figure_is_a_line_of_json(shared, capsys):
    measuring = shared("measuring")
    measuring.print_result("x", seconds=1.5, **measuring.machine("numpy"))
    row = json.loads(capsys.readouterr().out)
    assert (row["benchmark"], row["seconds"]) == ("x", 1.5) and row["versions"]["numpy"]


def test_the_page_has_a_row_for_each_result(shared):
    spread = {"median": 12.345, "min": 9.0, "max": 15.0}
    lines = [
        {"benchmark": "bass_quality", "image": "x"},
        {"benchmark": "bass_vs_slic growth", "seconds": 1.0},
        {"benchmark": "bass_vs_slic summary", "sides": [112, 224], "bass_over_slic": spread,
         "slope_over_pixels": {"bass": 1.0}, "slope_over_regions": {"bass": 0.1}},
        {"benchmark": "lime_vs_cse", "skipped": "LIME is not installed"},
        {"benchmark": "whole_cse", "setting": "resnet50", "search": "greedy",
         "whole_over_unavoidable": spread},
        {"benchmark": "search_vs_reference", "setting": "cpu", "depth": 10,
         "times_faster": {"minimal": spread}, "machine": "m", "cores": 2, "python": "3.11",
         "versions": {"torch": "2"}},
    ]  # fmt: skip
    page = shared("page").page(lines)
    assert "m, 2 cores, Python 3.11; torch 2." in page
    assert "shorter side 112 to 224 px" in page and "| growth with pixels" in page
    table = [line for line in page.splitlines() if "whole counterfactual" in line]
    assert len(table) == 3 and "LIME is not installed" in table[0]
    assert "12.3 (9 to 15)" in table[1] and "depth 10, minimal" in table[2]


def test_every_script_of_the_page_is_run_by_make(shared):
    makefile = (FOLDER.parent / "Makefile").read_text()
    for name in shared("page").TITLES:
        assert (FOLDER / f"{name}.py").is_file()
        assert name in makefile.split("bench-speed:")[1]


THEIRS = """
import a_package_that_is_not_installed
start_a_whole_experiment()

def double(value):
    return value * two

# def double(value): an older one

def four(value):

    return double(double(
        value))
    def indented(value):
    return four(value)
print("not run")
"""


def test_functions_are_cut_out_of_a_file_that_can_be_neither_imported_nor_parsed(shared, tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    found = shared("authors").functions(file, ["double", "four", "indented"], {"two": 2})
    assert [found[name](3) for name in ("double", "four", "indented")] == [6, 12, 12]
    with pytest.raises(SystemExit, match="defines no eight"):
        shared("authors").functions(file, ["eight"], {})


def test_a_disagreement_with_the_authors_is_told(shared, capsys):
    beside = shared("rivals_vs_authors")

    def own(case):
        return beside.ours("greedy", case, max_regions=beside.REGIONS, max_evaluations=64)

    def fewer(case):
        right = own(case)
        return beside.Answer(right.found, right.veil - set(list(right.veil)[:1]), right.scored + 1)

    same = beside.compare("greedy", "ours", own, own, 4, 32)
    assert same["same_outcome"] == same["same_scored"] == 4 and same["same_veil"] == same["found"]
    assert same["found"] > 0
    other = beside.compare("greedy", "theirs", fewer, own, 4, 32)
    assert (other["same_outcome"], other["same_veil"], other["same_scored"]) == (4, 0, 0)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["same_veil"] for line in lines] == [same["found"], 0]
    spread = {"median": 4.0, "min": 3.0, "max": 5.0}
    bass = {"benchmark": "bass_vs_authors, all", "setting": "1 photograph", "times_faster": spread}
    bass |= {"explained_variation_more": spread, "machine": "m", "cores": 2, "threads": "1"}
    page = shared("authors_page").page([*lines, bass])
    lost = {**same, "benchmark": "rivals_vs_authors", "same_veil": 0, "sizes": []}
    assert "| – |" in shared("authors_page").page([lost, bass])
    assert "| greedy | theirs | 4 |" in page and "4 (3 to 5) times as fast" in page


def test_the_rule_of_a_case_is_the_same_for_both_codes(shared):
    beside = shared("rivals_vs_authors")
    case = beside.Case(3, 64)
    rng = np.random.default_rng(0)
    sets = rng.random((5, beside.REGIONS)) < 0.4
    images = np.where(sets[:, case.labels][..., None], 0, case.image[None]).astype(np.uint8)
    expected = case.p(sets)
    np.testing.assert_allclose(case.score(images), expected, rtol=1e-12)
    np.testing.assert_allclose(case.predict(images.astype(float))[:, 0], expected, rtol=1e-12)
    normalised = (images.transpose(0, 3, 1, 2).astype(np.float32) / 255 - beside.MEAN) / beside.STD
    logits = case(beside.torch.from_numpy(normalised))
    np.testing.assert_allclose(logits.softmax(dim=1)[:, 0], expected, rtol=1e-12)
    assert case.scored == 20 and np.ptp(expected) > 0.1


def test_the_hostile_corpus_beside_an_independent_decoder(shared, tmp_path):
    pytest.importorskip("cv2")
    page, details = tmp_path / "page.md", tmp_path / "files.jsonl"
    script = str(FOLDER / "corpora.py")
    found = shared("measuring").run_script(
        script, "--quick", "--workers", 1, "--markdown", page, "--details", details
    )
    files = found["corpora"]["hostile"]
    assert files["files"] > 100 and files["released"] == files["ok"] > 20
    not_compared = files["released other view"] + files["released alone"]
    assert files["released equal"] == files["released"] - not_compared > 25
    assert files["pixels"] > 100_000
    assert not (found["crashes"] or found["faults"] or found["unexplained"])
    assert "| hostile | BMP |" in page.read_text("utf-8")
    rows = [json.loads(line) for line in details.read_text("utf-8").splitlines()]
    assert {row["status"] for row in rows} == {"ok", "error"}


def test_a_file_that_ends_its_process_is_counted_and_the_next_one_is_examined(shared, tmp_path):
    pytest.importorskip("cv2")
    whole = tmp_path / "whole.png"
    whole.write_bytes(corpus.whole_files()["whole.png"])
    worker = shared("corpora").Worker(timeout=300, memory=4096)
    try:
        assert worker.examine(tmp_path / "vanished.png") == {
            "died": "examination: the process ended with status 1"
        }
        assert worker.examine(whole)["status"] == "ok"
    finally:
        worker.stop()


def test_what_must_not_be_released_is_a_fault(shared, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    beside = shared("corpora_file")
    data = corpus.whole_files()["whole.png"]
    examination = beside.PIPELINE.examine(data)
    assert beside.check_released(examination)[2] == []
    released, mask, _ = beside.check_released(examination)
    shown = replace(examination, veiled=corpus.saved(corpus.picture(), "PNG"))
    assert beside.check_released(shown)[2] == ["a veiled pixel is not the fill"]
    comment = corpus.chunk(b"tEXt", b"Author\x00somebody")
    told = replace(examination, veiled=examination.veiled[:33] + comment + examination.veiled[33:])
    assert any("its chunks are" in fault for fault in beside.check_released(told)[2])
    changed = released.copy()
    changed[tuple(np.argwhere(~mask)[0])] ^= 1  # all three channels
    (frame,) = load(data)
    assert beside.difference(released[~mask], frame.pixels[~mask], 0) == (0, 0, 0)
    assert beside.difference(changed[~mask], frame.pixels[~mask], 0) == (1, 1, 3)
    photo = corpus.saved(corpus.picture(), "JPEG", comment=bytes(range(200)))
    leaked = examination.veiled[:40] + bytes(range(200)) + examination.veiled[40:]
    assert list(beside.shared_run(photo, examination.veiled)) == []
    assert len(list(beside.shared_run(photo, leaked))) == 1


def test_boxes_of_another_detector_are_united_inside_the_image(shared):
    faces = shared("faces")
    mask = faces.union([(-3, 0, 4, 5), (2, 3, 20, 6)], (10, 8))
    assert mask.shape == (8, 10)
    assert mask.sum() == 20 + 24 - 4
    assert not faces.union([(12, 0, 14, 5)], (10, 8)).any()
