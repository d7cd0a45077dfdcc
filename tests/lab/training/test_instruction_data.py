"""Questions and answers about a user's own images: built, reviewed, resumed, trained on."""

from __future__ import annotations

import json
import os
import pty
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS
from counterveil.cli import app
from counterveil.errors import UsageError
from counterveil.lab.reviewing import review
from counterveil.lab.training.reasoner.answer_queue import AnswerQueue
from counterveil.lab.training.reasoner.instruction_data import (
    Review,
    build,
    entries,
    examples,
    pending,
    reviews_path,
    save_reviews,
)
from counterveil.reasoning.interfaces import OPEN_QUESTIONS, QuestionAnswer
from counterveil.types import ModelInfo

ONE = (CATEGORIES["self_harm"],)
QUESTIONS = len(CATEGORIES["self_harm"].questions)


class BrightnessReasoner:
    """Answers yes if an image is dark; gives no answer to the questions in ``silent``."""

    info = ModelInfo("python:tests:brightness", "1")
    supported_categories = ()

    def __init__(self, silent=()):
        self._silent = silent

    def answer(self, images, questions, codes, *, text=True):
        assert not codes[0].guidance
        return [[self._one(image, q) for q in asked] for image, asked in
                zip(images, questions, strict=True)]  # fmt: skip

    def _one(self, image, question):
        if question in self._silent:
            return QuestionAnswer(question, "", None, "refused")
        if question in OPEN_QUESTIONS:
            return QuestionAnswer(question, "The image shows a plain area.", None)
        dark = image.mean() < 100
        return QuestionAnswer(question, "Yes, it is dark." if dark else "No.", float(dark))


@pytest.fixture
def data(tmp_path):
    for name, grey in (("self_harm", 20), ("safe", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((12, 10, 3), grey + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


def built(data, categories=ONE, **options):
    out = data.parent / "file.jsonl"
    return out, build(data, categories, out, **options)


def test_without_a_model_default_answers_are_proposed(data):
    out, count = built(data)
    assert count == 6
    found = {entry.image: entry for entry in entries(out)}
    unsafe, safe = found["self_harm/0.png"], found["safe/0.png"]
    assert unsafe.flagged == ("self_harm",)
    assert safe.flagged == ()
    assert len(unsafe.proposals) == len(safe.proposals) == QUESTIONS
    assert all(p.yes and p.answer.startswith("Yes") for p in unsafe.proposals)
    assert all(p.answer == "No." and p.source == "default" for p in safe.proposals)


def test_answers_of_a_model_are_proposed_and_defaults_where_it_gives_none(data):
    silent = CATEGORIES["self_harm"].questions[0].text
    out, _ = built(data, reasoner=BrightnessReasoner((silent,)))
    proposals = {p.key: p for p in next(iter(entries(out))).proposals}
    assert len(proposals) == QUESTIONS + len(GENERIC_QUESTIONS)
    assert proposals["happening"].yes is None
    sources = {p.source for p in proposals.values() if p.question != silent}
    assert sources == {BrightnessReasoner.info.name}
    assert proposals[CATEGORIES["self_harm"].questions[0].key].source == "default"


def test_building_continues_after_an_interruption(data):
    out, _ = built(data)
    whole = out.read_text()
    out.write_text(whole[: len(whole) // 2])
    _, count = built(data)
    assert 0 < count < 6
    assert out.read_text() == whole
    assert built(data)[1] == 0


@pytest.mark.parametrize("model", [True, False])
def test_a_broken_image_is_left_out_and_logged(data, model, caplog):
    (data / "safe" / "broken.png").write_bytes(b"\x89PNG broken")
    out, count = built(data, reasoner=BrightnessReasoner() if model else None)
    assert count == 6
    assert "broken.png" in caplog.messages[0]
    assert "broken" not in out.read_text()


def test_a_folder_that_is_not_a_category_is_an_error(data):
    (data / "safe").rename(data / "fine")
    with pytest.raises(
        UsageError, match="fine is not a category; name the class folders self_harm, safe"
    ):
        built(data)


def test_only_reviewed_answers_become_examples(data):
    out, _ = built(data)
    with pytest.raises(UsageError, match="no answer is accepted"):
        examples(out, data)
    entry, proposal = next(pending(out))
    save_reviews(out, [Review(entry.image, proposal.key, "No, a drawing.", False)])
    [example] = examples(out, data)
    assert example.image == data / entry.image
    [answer] = example.truth.answers
    assert (answer.question, answer.answer, answer.yes) == (
        proposal.question, "No, a drawing.", False,
    )  # fmt: skip
    assert len(examples(out, data, unreviewed=True)) == 6


def test_the_last_review_is_valid(data):
    out, _ = built(data)
    entry, proposal = next(pending(out))
    for words in ("No.", "Yes, after all."):
        save_reviews(out, [Review(entry.image, proposal.key, words, words != "No.")])
    assert examples(out, data)[0].truth.answers[0].answer == "Yes, after all."


def test_a_person_reviews_in_the_terminal_and_continues_later(data):
    out, _ = built(data)
    total = len(list(pending(out)))
    keys = "\ny\nYes, a blade.\n\nn\n\nNo, a comb.\n\nx\n\nq\n"
    result = CliRunner().invoke(app, ["instruct", "review", str(out)], input=keys)
    assert result.exit_code == 0, result.output
    saved = [json.loads(line) for line in reviews_path(out).read_text().splitlines()]
    assert [review["answer"] for review in saved] == [
        "No.", "Yes, a blade.", "No.", "No, a comb.", "No.",
    ]  # fmt: skip
    assert [review["yes"] for review in saved] == [False, True, False, False, False]
    assert len(list(pending(out))) == total - 5
    CliRunner().invoke(app, ["instruct", "review", str(out)], input="\n" * (total - 5))
    assert not list(pending(out))


def reviewed(out, keys, *options):
    """What the reviewer sees, and the answers in the file of reviews."""
    result = CliRunner().invoke(app, ["instruct", "review", str(out), *options], input=keys)
    assert result.exit_code == 0, result.output
    path = reviews_path(out)
    lines = path.read_text().splitlines() if path.is_file() else []
    return result.output, [json.loads(line)["answer"] for line in lines]


@pytest.mark.parametrize("before", ["", "y\n", "n\n", "Words.\n", "x\n", "=\n"])
def test_every_prompt_takes_the_same_commands(data, before):
    """The command "q" once became the answer "q"."""
    out, _ = built(data)
    assert reviewed(out, f"{before}q\n\n\n\n")[1] == []
    shown, answers = reviewed(out, f"{before}u\nq\n")
    assert answers == [] and "q = stop" in shown
    assert reviewed(out, f"\n{before}u\nu\nq\n\n")[1] == []


def test_a_command_is_an_answer_after_an_equals_sign(data):
    out, _ = built(data)
    shown, answers = reviewed(out, "=q\n\n=u\n\n==q\n\n=Yes = no\n\nq\n")
    assert answers == ["q", "u", "=q", "Yes = no"]
    assert '=q = the answer "q"' in shown and "will be saved: “q” (no)" in shown


def test_an_answer_is_shown_with_its_yes_or_no_before_it_is_saved(data):
    out, _ = built(data)
    shown, answers = reviewed(out, "y\nA blade lies there.\nNo blade.\nNot one.\n\nq\n")
    assert [line.split("saved: ")[1] for line in shown.splitlines() if "will be" in line][:5] == [
        "“No.” (no)", "“Yes.” (yes)", "“A blade lies there.” (yes)", "“No blade.” (no)",
        "“Not one.” (no)",
    ]  # fmt: skip
    assert answers == ["Not one."]
    assert json.loads(reviews_path(out).read_text())["yes"] is False


def test_reviews_are_undone_one_by_one_also_of_other_images_and_earlier_sessions(data):
    out, _ = built(data)
    images = [entry.image for entry in entries(out)]
    _, answers = reviewed(out, "\n" * (QUESTIONS + 2))
    assert len(answers) == QUESTIONS + 2
    whole = reviews_path(out).read_bytes()
    shown, answers = reviewed(out, "u\nu\nu\ny\n\nq\n")
    assert answers == ["No."] * (QUESTIONS - 1) + ["Yes."]
    headings = [line.split(" (")[0] for line in shown.splitlines() if " (test; " in line
                or " (train; " in line or " (validation; " in line]  # fmt: skip
    assert headings == [images[1], images[0], images[1]]
    assert f"Undone: {images[0]}, " in shown
    kept = whole.splitlines(keepends=True)[: QUESTIONS - 1]
    assert reviews_path(out).read_bytes().startswith(b"".join(kept))
    assert len(list(pending(out))) == 5 * QUESTIONS
    shown, answers = reviewed(out, "u\n" * (QUESTIONS + 1))
    assert answers == [] and "There is no review to undo." in shown
    assert reviewed(out, "\n")[1] == ["No."]


def test_the_last_review_of_all_can_be_undone(data):
    out, count = built(data)
    shown, answers = reviewed(out, "\n" * count * QUESTIONS + "x\nu\ny\n\n\n")
    assert answers == ["No."] * 3 * QUESTIONS + answers[3 * QUESTIONS : -1] + ["Yes."]
    assert len(answers) == count * QUESTIONS and shown.count("Nothing is left to review.") == 2
    shown, answers = reviewed(out, "u\n" * (count * QUESTIONS + 1))
    assert answers == [] and "There is no review to undo." in shown


def test_undoing_a_second_review_of_an_answer_restores_the_first(data):
    out, _ = built(data)
    entry, proposal = next(pending(out))
    for words in ("First.", "Second."):
        save_reviews(out, [Review(entry.image, proposal.key, words, None)])
    assert reviewed(out, "u\nq\n")[1] == ["First."]


@pytest.mark.parametrize("end", ["", "y", "Words without an end", "=q"])
def test_the_end_of_the_input_stops_and_loses_nothing(data, end):
    out, _ = built(data)
    shown, answers = reviewed(out, f"\n\n{end}")
    assert answers == ["No.", "No."]
    assert "Stopped; all reviews so far are saved." in shown
    assert reviewed(out, "\n")[1] == ["No."] * 3


def test_a_line_that_is_not_text_is_asked_for_again(data):
    out, _ = built(data)
    said, lines = [], iter([UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), "\udcff", "", "q"])

    def ask(prompt):
        line = next(lines)
        if isinstance(line, Exception):
            raise line
        return line

    review(AnswerQueue(out), ask=ask, show=said.append)
    assert said.count("  That line is not text; type it again.") == 2
    assert reviewed(out, "q\n")[1] == ["No."]


@pytest.fixture
def viewer(tmp_path, monkeypatch):
    """A real program in the place of the desktop's, which runs the given shell script."""

    def install(script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name in ("xdg-open", "open"):
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return install


def test_without_a_viewer_one_sentence_says_so(data, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    out, count = built(data)
    shown, answers = reviewed(out, "\n" * count * QUESTIONS, "--images", str(data))
    assert len(answers) == count * QUESTIONS
    assert shown.count("No image can be shown: xdg-open is not installed.") == 1


@pytest.mark.parametrize("script", ["echo 'cannot open display' >&2; exit 3", "kill -9 $$"])
def test_a_viewer_that_fails_is_told_in_one_sentence(data, viewer, script, capfd):
    viewer(script)
    out, count = built(data)
    shown, answers = reviewed(out, "\n" * count * QUESTIONS, "--images", str(data))
    assert len(answers) == count * QUESTIONS
    assert shown.count("No image can be shown") == 1 and "The review goes on" in shown
    assert "display" not in capfd.readouterr().err
    again, _ = reviewed(out, "u\nr\nr\nq\n", "--images", str(data))
    assert again.count("No image can be shown") == 3, "asked for, it is tried again"


def test_an_image_that_is_missing_or_broken_is_told_and_the_next_is_shown(data, viewer, tmp_path):
    viewer(f'echo "$1" >> {tmp_path}/opened')
    out, count = built(data)
    images = [data / entry.image for entry in entries(out)]
    images[0].unlink()
    images[1].write_bytes(b"no image")
    shown, _ = reviewed(out, "r\n" + "\n" * count * QUESTIONS, "--images", str(data))
    assert shown.count("This image cannot be shown") == 3
    assert len((tmp_path / "opened").read_text().splitlines()) == count - 2


def test_a_review_on_a_terminal(data):
    """A pseudo-terminal: Ctrl-D at the prompt stops."""
    out, _ = built(data)
    command = "from counterveil.cli import main; main()"
    child, terminal = pty.fork()
    if child == 0:
        os.execl(sys.executable, sys.executable, "-c", command, "instruct", "review", str(out))
    seen = b""
    keys = iter([b"\n", b"=q\n", b"\n", b"\x04"])
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
            if seen.endswith(b"stop: "):
                seen += b"\n"
                os.write(terminal, next(keys))
    except OSError:  # the end of a pseudo-terminal on Linux
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, seen.decode()
    assert "Stopped; all reviews so far are saved." in seen.decode()
    answers = [json.loads(line)["answer"] for line in reviews_path(out).read_text().splitlines()]
    assert answers == ["No.", "q"]


def opened(data, viewer, tmp_path, keys, *options):
    """The images that a review opens, as pixels."""
    viewer(f'mkdir -p {tmp_path}/seen; cp "$1" {tmp_path}/seen/$(ls {tmp_path}/seen | wc -l).png')
    out, _ = built(data)
    reviewed(out, keys, "--images", str(data), *options)
    return [
        np.asarray(Image.open(path).convert("RGB"))
        for path in sorted((tmp_path / "seen").iterdir())
    ]


@pytest.fixture
def coloured(data):
    """A sharp and colourful image in place of the first one under review."""
    pixels = np.random.default_rng(0).integers(0, 255, (300, 1200, 3)).astype(np.uint8)
    first = sorted((data / "safe").iterdir())[0]
    Image.fromarray(pixels).save(first)
    return pixels


def test_a_reviewer_sees_a_grey_blurred_preview_until_they_reveal_the_image(
    data, coloured, viewer, tmp_path
):
    preview, revealed = opened(data, viewer, tmp_path, "r\nq\n")
    assert (preview == preview[..., :1]).all(), "in grey"
    assert max(preview.shape) <= 512
    assert preview.std() < 0.2 * coloured.std(), "blurred"
    assert (revealed == coloured).all()


def test_reveal_opens_the_originals(data, coloured, viewer, tmp_path):
    [revealed] = opened(data, viewer, tmp_path, "q\n", "--reveal")
    assert (revealed == coloured).all()


def test_the_command_builds(data):
    out = data.parent / "cli.jsonl"
    result = CliRunner().invoke(app, ["instruct", "build", str(data), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert len(list(entries(out))) == 6
