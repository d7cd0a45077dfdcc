from __future__ import annotations

import sys

import pytest

pytest.importorskip("glin_profanity", reason="the extra 'text' is not installed")

from counterveil.classifiers import word_lists
from counterveil.classifiers.word_lists import DISGUISED, LANGUAGES, PLAIN, Match, WordList
from counterveil.errors import MissingExtraError, UsageError


@pytest.fixture(scope="module")
def own():
    return WordList(own=["blorfing", "grib nak", "zörp"])


def strengths(words, text):
    return [match.strength for match in words.find(text.split())]


@pytest.mark.parametrize(
    "text",
    ["blorfing", "BLORFING!", "Blörfing", '"blorfing",', "ｂｌｏｒｆｉｎｇ", "zorp", "Grib NAK"],
)
def test_case_accents_and_punctuation_do_not_matter(own, text):
    assert strengths(own, text) == [PLAIN]


@pytest.mark.parametrize(
    "text",
    [
        "bl0rf1ng",
        "b l o r f i n g",
        "b.l.o.r.f.i.n.g",
        "bloooorfing",
        "bl*rfing",
        "gr1b n4k",
        "z0rp",
    ],
)
def test_disguises_are_seen_through_but_count_less(own, text):
    assert strengths(own, text) == [DISGUISED]


@pytest.mark.parametrize(
    "text", ["unblorfing", "blorfingly", "zorpal", "nak grib", "grib", "z or p", "", "rfing"]
)
def test_words_that_only_contain_a_listed_word_are_innocent(own, text):
    assert strengths(own, text) == []


def test_numbers_are_no_disguised_words():
    english = WordList(["english"])
    assert [n for n in range(10_000) if english.find([str(n)])] == []
    assert WordList(own=["4711"]).find(["4711"]) == (Match(0, 1, PLAIN),)


def test_a_match_holds_no_word_too_many(own):
    text = "you zorp and grib nak and b l o r f i n g too zorp"
    assert own.find(text.split()) == (
        Match(1, 2, PLAIN), Match(3, 5, PLAIN), Match(6, 14, DISGUISED), Match(15, 16, PLAIN),
    )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_of_its_own(language):
    words = WordList([language])
    assert words.sha256 != WordList(["english" if language != "english" else "german"]).sha256
    assert words.find(["Scunthorpe", "Penistone", "Essex", "classic", "cocktail"]) == ()


def test_languages_and_files_are_joined(tmp_path):
    (tmp_path / "own.txt").write_text("\ufeffblorfing\n\n  grib   nak \n", "utf-8")
    words = word_lists.parse("German+own.txt", folder=tmp_path)
    assert strengths(words, "grib nak blorfing") == [PLAIN, PLAIN]
    assert words.sha256 != word_lists.parse("own.txt", folder=tmp_path).sha256
    assert word_lists.parse("").sha256 == word_lists.parse("english").sha256


def test_an_own_list_needs_no_language(tmp_path):
    (tmp_path / "own.txt").write_text("blorfing", "utf-8")
    assert word_lists.parse("own.txt", folder=tmp_path).sha256 == WordList(own=["blorfing"]).sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\xff\xfe\x00", "not UTF-8"), (b" \n\n", "is empty")],
)
def test_an_unusable_file_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(UsageError, match=f"own.txt {message}|own.txt is {message}"):
        word_lists.parse("own.txt", folder=tmp_path)


def test_an_unknown_language_is_refused_with_those_that_can_be_read():
    with pytest.raises(UsageError, match=r"'russian' is neither .*english"):
        word_lists.parse("russian")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "glin_profanity", None)
    with pytest.raises(MissingExtraError, match=r"glin_profanity.*counterveil\[text\]"):
        WordList(["english"])
