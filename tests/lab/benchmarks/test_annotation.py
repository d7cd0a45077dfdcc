"""People judge words, are interrupted, go on, and are counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.lab.benchmarks.annotation import (
    ANSWER_QUESTION,
    DESCRIPTION_QUESTION,
    Item,
    JudgementFile,
    JudgementQueue,
    read_items,
    summarise,
)
from counterveil.lab.benchmarks.bootstrap import fleiss_kappa
from counterveil.lab.benchmarks.pages import annotation_page
from counterveil.lab.reviewing import review
from tests.report.samples import record

ITEMS = [Item(str(at), "q", "Is it?", f"words {at}", "shown") for at in range(4)]


def annotate(items, store, name, *, ask, show):
    """Let one annotator judge; the number of items that are left."""
    queue = JudgementQueue(items, store, name)
    review(queue, ask=ask, show=show)
    return queue.left


def judge(store, name, verdicts, items=ITEMS):
    """Answer each item by its own verdict, whatever order it comes in."""
    lines = []

    def ask(prompt):
        if "Enter = " in prompt:
            return ""
        for item in items:
            if f"“{item.words}”" in lines[-2]:
                return verdicts[items.index(item)]
        raise AssertionError(lines)

    return annotate(items, store, name, ask=ask, show=lines.append)


def script(*keys):
    """Types each key; Enter after each verdict, which saves it."""
    left = [each for key in keys for each in ((key, "") if key in (*"ynN?",) else (key,))]

    def ask(prompt):
        if not left:
            raise EOFError
        key = left.pop(0)
        if isinstance(key, BaseException):
            raise key
        return key

    return ask


def ignore(text):
    pass


def test_kappa_is_that_of_fleiss_own_example():
    # Table 1 of the article: 10 items of its kind, 14 raters, 5 verdicts; kappa 0.210.
    table = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    assert fleiss_kappa(table) == pytest.approx(0.210, abs=5e-4)


def test_kappa_is_1_in_agreement_0_by_chance_and_nan_if_undefined():
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == pytest.approx(1)
    rng = np.random.default_rng(0)
    yes = rng.binomial(3, 0.4, 20_000)
    assert fleiss_kappa(np.stack([yes, 3 - yes], 1)) == pytest.approx(0, abs=0.02)
    assert np.isnan(fleiss_kappa(np.array([[3, 0], [3, 0]])))
    assert np.isnan(fleiss_kappa(np.zeros((0, 3), int)))
    # Items with one annotator have no pair.
    assert fleiss_kappa(np.array([[3, 0], [0, 2], [1, 0]])) == pytest.approx(1)


def test_three_annotators_have_a_majority(tmp_path):
    store = JudgementFile(tmp_path / "x.jsonl")
    for name, verdicts in {"a": "yyn?", "b": "ynn?", "c": "yyyn"}.items():
        assert judge(store, name, verdicts) == 0
    row = summarise(ITEMS, JudgementFile(tmp_path / "x.jsonl"))["questions"]["q"]
    # yes, yes, no, and a majority that cannot tell
    assert (row["items"], row["judged"], row["undecided"]) == (4, 4, 1)
    assert row["correct"]["mean"] == pytest.approx(2 / 3, abs=1e-4)
    assert row["kappa"]["low"] <= row["kappa"]["mean"] <= row["kappa"]["high"]


def test_two_annotators_may_tie_and_a_tie_is_neither_right_nor_wrong(tmp_path):
    store = JudgementFile(tmp_path / "x.jsonl")
    judge(store, "a", "yynn")
    judge(store, "b", "ynny")
    figures = summarise(ITEMS, store)
    row = figures["questions"]["q"]
    assert figures["panel"] == 2
    assert (row["judged"], row["undecided"], row["correct"]["n"]) == (4, 2, 2)
    assert row["correct"]["mean"] == 0.5
    assert row["kappa"]["mean"] == pytest.approx(0)
    assert "| q | 4 | 4 | 2 | 50.0 % [" in annotation_page(figures)


def test_an_item_counts_once_the_panel_has_judged_it(tmp_path):
    store = JudgementFile(tmp_path / "x.jsonl")
    judge(store, "a", "yyyy")
    judge(store, "b", "yyyy")
    assert annotate(ITEMS, store, "c", ask=script("y"), show=ignore) == 3
    assert summarise(ITEMS, store)["questions"]["all"]["judged"] == 1


def test_without_judgements_the_table_has_dashes(tmp_path):
    page = annotation_page(summarise(ITEMS, JudgementFile(tmp_path / "x.jsonl")))
    assert "| q | 4 | 0 | 0 | – | – |" in page


@pytest.mark.parametrize("end", ["q", EOFError(), KeyboardInterrupt()])
def test_annotation_is_resumed(tmp_path, end):
    path = tmp_path / "deep" / "x.jsonl"
    assert annotate(ITEMS, JudgementFile(path), "a", ask=script("y", "N", end), show=ignore) == 2
    said = []
    assert annotate(ITEMS, JudgementFile(path), "a", ask=script("?", "y"), show=said.append) == 0
    assert said[0].strip().startswith("[3/4]")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["yes", "no", "unsure", "yes"]
    assert len({line["sample"] for line in lines}) == 4
    assert set(lines[0]) == {"sample", "question", "annotator", "verdict", "digest"}


def test_an_incomplete_line_is_judged_again_and_stays(tmp_path):
    path = tmp_path / "x.jsonl"
    annotate(ITEMS, JudgementFile(path), "a", ask=script("y", "y"), show=ignore)
    before = path.read_bytes()[:-20]
    path.write_bytes(before)
    assert annotate(ITEMS, JudgementFile(path), "a", ask=script("n", "n", "n"), show=ignore) == 0
    assert path.read_bytes().startswith(before), "no byte of it was changed"
    assert len(JudgementFile(path).judgements) == 4


def test_the_last_judgement_of_an_annotator_is_undone_and_made_again(tmp_path):
    path = tmp_path / "x.jsonl"
    store = JudgementFile(path)
    judge(store, "b", "????")
    said = []
    keys = script("u", "x", "y", "y", "u", "n", "q")  # u at the first: nothing to undo
    assert annotate(ITEMS, store, "a", ask=keys, show=said.append) == 2
    assert "  There is no review to undo." in said and any("“x” is not a" in s for s in said)
    for _ in range(2):  # in memory, and as read again
        counted = [each.get("a") for each in store.verdicts(ITEMS).values()]
        assert sorted(filter(None, counted)) == ["no", "yes"]
        store = JudgementFile(path)
    assert len(store.judgements) == 6, "no line is left of what was undone"
    # In a later session the last one can be undone, too; another annotator's stays.
    assert annotate(ITEMS, store, "a", ask=script("u", "u", "u", "q"), show=ignore) == 4
    assert {one.annotator for one in JudgementFile(path).judgements} == {"b"}


def test_a_verdict_is_shown_before_it_is_saved_and_can_be_changed(tmp_path):
    store, said = JudgementFile(tmp_path / "x.jsonl"), []
    keys = iter(["", "y", "=no", "u", "No", "maybe", "", "y"])
    annotate(ITEMS, store, "a", ask=lambda _: next(keys, "q"), show=said.append)
    shown = [line.partition("saved: ")[2] for line in said if "will be saved" in line]
    assert shown == [
        "nothing yet", "nothing yet", "“yes”", "“no”", "nothing yet", "“no”", "“no”",
        "nothing yet", "“yes”",
    ]  # fmt: skip
    assert [one.verdict for one in store.judgements] == ["no"], "y was not saved by Enter"


def test_judgements_of_other_words_do_not_count(tmp_path):
    store = JudgementFile(tmp_path / "x.jsonl")
    judge(store, "a", "yyyy")
    other = [Item("0", "q", "Is it?", "new words", "shown"), *ITEMS[1:]]
    assert summarise(other, store)["questions"]["q"]["judged"] == 3


def test_each_annotator_has_an_own_order(tmp_path):
    orders = []
    for name in "abcdef":
        said = []
        annotate(ITEMS, JudgementFile(tmp_path / name), name, ask=script(*"yyyy"), show=said.append)
        orders.append(tuple(said[1:]))
    assert len(set(orders)) > 1


def test_other_files_and_empty_names_are_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(UsageError, match="no judgements"):
        JudgementFile(tmp_path / "x.jsonl")
    with pytest.raises(UsageError, match="--annotator NAME"):
        annotate(ITEMS, JudgementFile(tmp_path / "y.jsonl"), " ", ask=script(), show=ignore)


def records(tmp_path):
    from counterveil.record import Answer, Rationale

    answers = (
        Answer("self_harm", "Is there a rope?", "Yes, a rope.", 0.9),
        Answer("self_harm", "Is there blood?", "", 0.1),
        Answer("faces", "Whose face?", "", None, reason="not asked"),
    )
    told = record(rationale=Rationale("all of it", "A rope.", answers))
    path = tmp_path / "records.jsonl"
    lines = [told, record(), record(outputs=None)]
    path.write_text("".join(json.dumps(one.to_dict()) + "\n" for one in lines))
    return path


def test_words_on_a_run_are_judged_by_the_veiled_picture(tmp_path):
    items = read_items(records(tmp_path))
    assert [item.words for item in items] == ["A rope.", "Yes, a rope.", "No."]
    assert {item.shown for item in items} == {str(tmp_path / "a.veiled.png")}
    originals = read_items(tmp_path / "records.jsonl", originals=tmp_path / "came")
    assert {item.shown for item in originals} == {str(tmp_path / "came" / "a.png")}


def samples(tmp_path, *answers):
    path = tmp_path / "x.json"
    about = {"scene": "self_harm, unsafe", "truth": "A rope."}
    row = {**about, "descriptions": {"right code": "1", "no code": "2"}, "answers": list(answers)}
    path.write_text(json.dumps({"annotation_samples": [row, row]}))
    return path


def test_words_of_a_bench_are_judged_without_their_condition(tmp_path):
    items = read_items(samples(tmp_path))
    assert [item.question for item in items] == ["right code", "no code"] * 2
    for item in items:
        assert item.shown == "self_harm, unsafe. A rope." and item.prompt == DESCRIPTION_QUESTION
    assert len({item.sample for item in items}) == 2


def test_answers_of_a_bench_are_judged_one_by_one(tmp_path):
    said = [("Any rope?", 0.9), ("Any text?", 0.2), ("Any hand?", None)]
    items = read_items(samples(tmp_path, *({"question": q, "p_yes": p} for q, p in said)))[2:4]
    assert [item.words for item in items] == ["Yes.", "No."]
    assert [item.question for item in items] == ["Any rope?", "Any text?"]
    assert all(item.prompt.endswith(ANSWER_QUESTION) for item in items)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"annotation_samples": []}', '{"annotation_samples": [3]}']
)
def test_a_file_without_samples_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match="holds no"):
        read_items(tmp_path / "x.json")


def test_the_command_asks_and_shows_the_table(tmp_path):
    out, page = tmp_path / "j.jsonl", tmp_path / "x.md"
    words = ["annotate", str(samples(tmp_path)), "--annotator", "ann"]
    words += ["--out", str(out), "--markdown", str(page)]
    first = CliRunner().invoke(app, words, input="y\n\nn\n\ny\n")
    assert first.exit_code == 0, first.output
    assert "4 left for ann" in first.output and "Stopped" in first.output
    second = CliRunner().invoke(app, words, input="y\n\ny\n\n")
    assert "2 of 4 left" in second.output and "| right code | 2 | 2 | 0 |" in second.output
    assert len(out.read_text().splitlines()) == 4
    assert page.read_text() in second.output
    refused = CliRunner().invoke(app, ["annotate", "--annotator", "a", "--out", str(out)])
    assert refused.exit_code != 0 and "SAMPLES" in refused.output
