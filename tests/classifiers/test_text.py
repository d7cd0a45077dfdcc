from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

pytest.importorskip("rapidocr", reason="the extra 'text' is not installed")

import matplotlib
from PIL import Image, ImageDraw, ImageFont

import counterveil
from counterveil import classifiers
from counterveil.classifiers import text, text_reading
from counterveil.classifiers.word_lists import DISGUISED, LANGUAGES, PLAIN
from counterveil.errors import MissingExtraError, ModelError
from counterveil.types import LocalizingClassifier, MaskScoringClassifier

FONT = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", 32)
SIDE, BLUE = 400, (48, 80, 112)


def draw(*lines):
    """An image of lines ``(left, top, text)``."""
    canvas = Image.new("RGB", (SIDE, SIDE), BLUE)
    pen = ImageDraw.Draw(canvas)
    for left, top, line in lines:
        pen.text((left, top), line, font=FONT, fill="white")
    return np.asarray(canvas)


def ink_box(left, top, before, word):
    """Left, top, right, bottom of the ink of ``word`` behind ``before``."""
    x0, y0, x1, y1 = FONT.getbbox(word)
    start = left + FONT.getlength(before)
    return tuple(map(round, (start + x0, top + y0, start + x1, top + y1)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    (folder / "own.txt").write_text("blorfing\ngrib nak\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def classifier(folder):
    return text.load("own.txt", folder=folder)


@pytest.fixture(scope="module")
def insult():
    return draw((20, 60, "you blorfing fool"))


@pytest.fixture(scope="module")
def two():
    return draw((20, 60, "you blorfing fool"), (20, 300, "so blorfing silly"))


def test_a_listed_word_is_found_without_a_network(classifier, insult, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert classifier.score(insult[None])[0] > 0.9
    assert classifier.score(draw((20, 60, "what a lovely day"))[None])[0] == 0


def test_is_a_black_box_that_localises_and_says_what_it_is(classifier, folder):
    assert isinstance(classifier, LocalizingClassifier)
    assert isinstance(classifier, MaskScoringClassifier)
    assert classifier.info.name == "text:own.txt"
    assert len(classifier.info.sha256) == 64
    assert "rapidocr" in classifier.info.version
    other = text.TextClassifier(text.parse("own.txt+german", folder=folder))
    assert other.info.sha256 != classifier.info.sha256


def turned(image, quarters):
    return np.ascontiguousarray(np.rot90(image, quarters))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_the_box_is_that_of_the_word_however_it_is_turned(classifier, insult, quarters):
    ink = np.zeros((SIDE, SIDE), bool)
    left, top, right, bottom = ink_box(20, 60, "you ", "blorfing")
    ink[top:bottom, left:right] = True
    ink = turned(ink, quarters)
    (box,) = classifier.boxes(turned(insult, quarters))
    assert (box.label, box.score > 0.9) == ("text", True)  # a label must not repeat the word
    boxed = np.zeros_like(ink)
    boxed[box.top : box.bottom, box.left : box.right] = True
    assert (ink & boxed).sum() > 0.95 * ink.sum()
    assert boxed.sum() < 2 * ink.sum()


def test_slanted_text_is_read(classifier, insult):
    slanted = Image.fromarray(insult).rotate(-12, fillcolor=BLUE)
    assert classifier.score(np.asarray(slanted)[None])[0] > 0.5


def test_a_phrase_over_two_lines_has_a_box_for_each_word(classifier):
    boxes = classifier.boxes(draw((20, 60, "hello you grib"), (20, 110, "nak of the day")))
    assert len(boxes) == 2
    assert boxes[0].bottom <= boxes[1].top + 8
    assert classifier.score(draw((20, 60, "hello you grib"), (20, 110, "and nak"))[None])[0] == 0


def test_a_disguised_word_scores_lower_and_is_still_unsafe(classifier):
    (score,) = classifier.score(draw((20, 60, "you BL0RF1NG fool"))[None])
    assert 0.5 < score <= DISGUISED < PLAIN


def test_more_words_raise_the_score(classifier, insult, two):
    one, both = classifier.score(np.stack([insult, two]))
    assert both > one + 0.02
    assert len(classifier.boxes(two)) == 2


def strip_masks(image, box, steps=12):
    """Masks that hide more and more of a box, from the left."""
    masks = np.zeros((steps + 1, *image.shape[:2]), bool)
    for mask, right in zip(masks, np.linspace(box.left, box.right, steps + 1), strict=True):
        mask[box.top : box.bottom, box.left : round(right)] = True
    return masks


def test_the_score_falls_with_each_part_veiled_and_flips_late(classifier, insult):
    (box,) = classifier.boxes(insult)
    masks = strip_masks(insult, box)
    scores = classifier.score_masked(insult, np.zeros_like(insult))(masks)
    assert scores[0] == pytest.approx(classifier.score(insult[None])[0])
    assert (np.diff(scores) < 0).all()
    assert scores[-1] == 0
    assert (scores[:10] > 0.5).all(), "five sixths of the word are hidden, and a sixth is not"


def test_with_all_words_veiled_the_image_scores_as_its_veiled_copy(classifier, two):
    mask = np.zeros((SIDE, SIDE), bool)
    for box in classifier.boxes(two):
        mask[box.top : box.bottom, box.left : box.right] = True
    assert classifier.score_masked(two, np.zeros_like(two))(mask[None])[0] == 0
    veiled = np.where(mask[..., None], np.uint8(0), two)
    assert classifier.score(veiled[None])[0] == 0


def test_a_veil_that_shows_the_word_does_not_help(classifier, insult):
    faded = np.uint8(insult * 0.7)
    masks = np.stack([np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)])
    assert (classifier.score_masked(insult, faded)(masks) > 0.5).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2)])
def test_tiny_and_narrow_images_are_scored(classifier, shape):
    assert classifier.score(np.zeros((1, *shape, 3), np.uint8))[0] == 0


def test_boxes_of_large_images_are_in_their_own_pixels(classifier, insult):
    (small,) = classifier.boxes(insult)
    (large,) = classifier.boxes(insult.repeat(6, axis=0).repeat(6, axis=1))
    corners = [(each.left, each.top, each.right, each.bottom) for each in (small, large)]
    assert np.array(corners[1]) / 6 == pytest.approx(np.array(corners[0]), abs=8)


def test_photographs_without_offensive_text_score_zero(classifier):
    assert classifier.score(skimage.data.coffee()[None])[0] == 0
    assert classifier.boxes(skimage.data.coffee()) == ()
    assert classifier.score(np.zeros((0, 9, 9, 3), np.uint8)).shape == (0,)


@pytest.mark.parametrize("text", ["", " "])
def test_what_looks_like_a_line_and_has_no_letters_is_no_word(text):
    corners = np.array([[0, 0], [40, 0], [40, 10], [0, 10]], float)
    line = text_reading._Recognised(text, 0.9, (0.9,) * len(text), (), corners, upside_down=False)
    assert line.words(np.ones(2), 40, 10) == ()


def test_an_image_is_read_once(classifier, monkeypatch):
    calls, image = [], draw((20, 60, "once blorfing"))
    read = text_reading.TextReader.read
    monkeypatch.setattr(
        text_reading.TextReader, "read", lambda self, image: calls.append(1) or read(self, image)
    )
    classifier.score(np.stack([image, image]))
    assert len(classifier.boxes(image)) == len(calls) == 1


def test_a_broken_model_is_a_model_error_that_quotes_nothing(folder, monkeypatch, insult):
    broken = folder / "broken.onnx"
    broken.write_bytes(b"not a network")
    files = text_reading._model_files

    def with_broken_recognition(package):
        return {**files(package), "Rec": broken}

    monkeypatch.setattr(text_reading, "_model_files", with_broken_recognition)
    with pytest.raises(ModelError, match=r"rapidocr could not be run: \w+$"):
        text.load("own.txt", folder=folder).score(insult[None])


def test_an_unavailable_device_is_a_model_error():
    with pytest.raises(ModelError, match="use 'cpu'"):
        text.load("", device="mps")


@pytest.mark.parametrize("name", ["onnxruntime", "cv2", "rapidocr"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name}.*counterveil\[text\]"):
        text.load("")


def test_a_missing_model_is_not_downloaded(monkeypatch, tmp_path):
    import rapidocr

    monkeypatch.setattr(rapidocr, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match=r"lacks its model .*onnx"):
        text.load("")
    assert not list(tmp_path.rglob("*.onnx"))


def test_the_ocr_knows_the_letters_of_every_language_offered(classifier):
    from glin_profanity.data.dictionary import dictionary

    known = set("".join(classifier._reader._ocr._load_rec_model().postprocess_op.character)) | {" "}
    for language in dictionary.available_languages:
        words = dictionary.get_words(language)
        readable = np.mean([set(word) <= known or set(word.upper()) <= known for word in words])
        assert (readable > 0.99) == (language in LANGUAGES), language


def test_the_pipeline_veils_the_word_and_releases_a_verified_file(folder, insult):
    (folder / "bullying.toml").write_text(
        'search_size = 400\n[[category]]\nkey = "bullying"\ntitle = "Bullying"\n'
        'classifier = "text:own.txt"\n',
        "utf-8",
    )
    examination = counterveil.load(str(folder / "bullying.toml")).examine(insult)
    (result,) = examination.record.categories
    assert (examination.record.status, result.flagged) == ("ok", True)
    assert result.counterfactual.outcome == "found"
    assert result.counterfactual.verified
    left, top, right, bottom = ink_box(20, 60, "you ", "blorfing")
    mask = np.asarray(examination.mask_image) > 0
    assert mask[top:bottom, left:right].mean() > 0.9
    assert mask.mean() < 0.6
    again = classifiers.load("text:own.txt", folder=folder).score(
        np.asarray(examination.veiled_image)[None]
    )
    assert again[0] < 0.5
