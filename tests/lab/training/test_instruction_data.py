"""Questions and answers about a user's own images: built, reviewed, resumed, trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS
from counterveil.cli import app
from counterveil.errors import UsageError
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
    keys = "\ny\nYes, a blade.\nn\nw\nNo, a comb.\nx\n\nq\n"
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


def opened(data, monkeypatch, keys, *options):
    """The images that a review opens, as pixels."""
    out, _ = built(data)
    found = []

    def launch(path):
        found.append(np.asarray(Image.open(path).convert("RGB")))

    monkeypatch.setattr(typer, "launch", launch)
    asked = ["instruct", "review", str(out), "--images", str(data), *options]
    result = CliRunner().invoke(app, asked, input=keys)
    assert result.exit_code == 0, result.output
    return found


@pytest.fixture
def coloured(data):
    """A sharp and colourful image in place of the first one under review."""
    pixels = np.random.default_rng(0).integers(0, 255, (300, 1200, 3)).astype(np.uint8)
    first = sorted((data / "safe").iterdir())[0]
    Image.fromarray(pixels).save(first)
    return pixels


def test_a_reviewer_sees_a_grey_blurred_preview_until_they_reveal_the_image(
    data, coloured, monkeypatch
):
    preview, revealed = opened(data, monkeypatch, "r\nq\n")
    assert (preview == preview[..., :1]).all(), "in grey"
    assert max(preview.shape) <= 512
    assert preview.std() < 0.2 * coloured.std(), "blurred"
    assert (revealed == coloured).all()


def test_reveal_opens_the_originals(data, coloured, monkeypatch):
    [revealed] = opened(data, monkeypatch, "q\n", "--reveal")
    assert (revealed == coloured).all()


def test_the_command_builds(data):
    out = data.parent / "cli.jsonl"
    result = CliRunner().invoke(app, ["instruct", "build", str(data), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert len(list(entries(out))) == 6
