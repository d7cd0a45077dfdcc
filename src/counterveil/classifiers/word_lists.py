"""Lists of offensive words, found in spite of disguises (extra ``text``)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterveil.classifiers.text_reading import import_extra
from counterveil.errors import ModelError, UsageError

LANGUAGES = (
    "chinese", "czech", "danish", "dutch", "english", "esperanto", "finnish", "french", "german",
    "hindi", "hungarian", "italian", "japanese", "norwegian", "polish", "portuguese", "spanish",
    "swedish", "turkish",
)  # fmt: skip
"""Languages of ``glin-profanity`` whose words the OCR can read (Hindi in Latin letters).

Left out are Arabic, Korean, Persian, Russian and Thai: the OCR does not know their letters.
"""

PLAIN, DISGUISED = 0.95, 0.8
"""Strength of a match as written, and of one found behind a disguise, such as 1337 spelling.

Below 1, so that a second word still raises the score. A disguise may be a chance reading.
"""

_LONGEST = 16
"""Most words that one match is looked for in; a word may be spelled with a space a letter."""


@dataclass(frozen=True)
class Match:
    """Words ``start`` to ``stop`` (exclusive) that match a list, with a strength in ``(0, 1]``."""

    start: int
    stop: int
    strength: float


class WordList:
    """Words and phrases that are looked for in texts, from ``glin-profanity`` or from a file.

    The package folds case, accents and look-alike letters, and sees through 1337 spelling,
    spaced, repeated and masked letters. A listed word inside a longer word is no match.

    Args:
        languages: dictionaries of the package, some of :data:`LANGUAGES`.
        own: words and phrases of the user.

    Attributes:
        version: of the package.
        sha256: of all words.
    """

    def __init__(self, languages: Sequence[str] = (), own: Sequence[str] = ()) -> None:
        package = import_extra("glin_profanity")
        self._filters = []
        if languages:
            self._filters.append(_Filter(package, {"languages": list(languages)}, fold=str))
        if own:
            # An empty list of languages would mean English. What the user lists is listed, even
            # if the package calls it harmless.
            options = {
                "languages": [""],
                "custom_words": [_folded(word) for word in own],
                "obfuscation": {"level": "standard", "builtin_whitelist": False},
            }
            self._filters.append(_Filter(package, options, fold=_folded))
        if not all(each.words for each in self._filters):
            raise ModelError("glin_profanity holds no words; install it again")
        self.version = importlib.metadata.version("glin-profanity")
        words = sorted(word for each in self._filters for word in each.words)
        self.sha256 = hashlib.sha256("\n".join(words).encode()).hexdigest()

    def find(self, words: Sequence[str]) -> tuple[Match, ...]:
        """The shortest runs of consecutive words that match; no match contains another one."""
        if not words or not self._strength(words):  # most texts end here
            return ()
        found: list[Match] = []
        for length in range(1, min(len(words), _LONGEST) + 1):
            for start in range(len(words) - length + 1):
                stop = start + length
                if any(start <= each.start and each.stop <= stop for each in found):
                    continue
                if strength := self._strength(words[start:stop]):
                    found.append(Match(start, stop, strength))
        return tuple(sorted(found, key=lambda each: each.start))

    def _strength(self, words: Sequence[str]) -> float:
        return max(each.strength(" ".join(words)) for each in self._filters)


class _Filter:
    """The package's filter, with and without its steps against disguises."""

    def __init__(
        self, package: Any, options: dict[str, Any], *, fold: Callable[[str], str]
    ) -> None:
        self._disguised = package.Filter(
            {"obfuscation": "standard", **options, "detect_leetspeak": True}
        )
        self._plain = package.Filter({**options, "obfuscation": "off"})
        self._fold = fold
        self.words: frozenset[str] = frozenset(self._plain.words)

    def strength(self, text: str) -> float:
        """Of the strongest match in a text, 0 without one."""
        text = self._fold(text)
        if not self._disguised.is_profane(text):
            return 0.0
        if self._plain.is_profane(text):
            return PLAIN
        # Read as 1337 spelling, some prices and house numbers are on the list.
        return DISGUISED if any(map(str.isalpha, text)) else 0.0


def parse(argument: str, *, folder: Path | None = None) -> WordList:
    """The list of ``LANGUAGE+FILE.txt+...``; English for an empty argument.

    A file holds one word or phrase a line, in UTF-8; relative paths start at ``folder``.

    Raises:
        UsageError: a language is unknown, or a file cannot be read or is empty.
    """
    languages: list[str] = []
    own: list[str] = []
    for part in (argument or "english").split("+"):
        if part.strip().lower() in LANGUAGES:
            languages.append(part.strip().lower())
        elif part.lower().endswith(".txt"):
            own += _read(part, folder or Path())
        else:
            raise UsageError(
                f"text:{argument}: {part!r} is neither a file FILE.txt nor a language; choose "
                f"among {', '.join(LANGUAGES)}"
            )
    return WordList(languages, own)


def _read(name: str, folder: Path) -> list[str]:
    path = folder / Path(name).expanduser()
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"the word list {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the word list {name} is not UTF-8; save it as UTF-8") from error
    words = [" ".join(line.split()) for line in lines if line.strip()]
    if not words:
        raise UsageError(f"the word list {name} is empty; write one word or phrase a line")
    return words


def _folded(text: str) -> str:
    """Without case and accents.

    The package folds fewer accents. Its own dictionaries must keep theirs: in Japanese, a mark
    makes another letter.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each))
