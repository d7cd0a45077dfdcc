"""Categories of unsafe content, their questions, and the control code that conditions a reasoner.

A category is data: users add their own in a TOML file, see :mod:`counterveil.config`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, get_type_hints

from counterveil.errors import UsageError
from counterveil.serialization import to_plain

_KEY = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Question:
    """A moderator's yes/no question.

    Attributes:
        key: short name, unique within the category.
        text: the question.
    """

    key: str
    text: str

    def __post_init__(self) -> None:
        _check_key(self.key, "a question's key")
        if not self.text.strip():
            raise UsageError(f"question {self.key!r} has no text; write what is to be asked")

    def to_dict(self) -> dict[str, str]:
        """``{"key": ..., "text": ...}``."""
        return {"key": self.key, "text": self.text}


@dataclass(frozen=True)
class Category:
    """A kind of unsafe content and the classifier that scores it.

    Attributes:
        key: short name, ``[a-z][a-z0-9_]*``.
        title: name for people.
        description: one sentence on what belongs to it.
        questions: of a moderator.
        threshold: images with this score or more are flagged, in ``(0, 1]``.
        warn_threshold: a score from here up to ``threshold`` flags nothing, but the record warns of
            it; 0: no warning.
        classifier: spec ``scheme:argument``, see :func:`counterveil.classifiers.load`.
        judges: specs of classifiers that take no part in the search. A veil must hold for them,
            too.
        judge_threshold: a judge says unsafe from this score on, in ``(0, 1]``.
        optional: without the extra that its classifier needs, the category is left out and told
            as not covered, instead of refused.
    """

    key: str
    title: str
    description: str = ""
    questions: tuple[Question, ...] = ()
    threshold: float = 0.5
    warn_threshold: float = 0.0
    classifier: str = ""
    judges: tuple[str, ...] = ()
    judge_threshold: float = 0.5
    optional: bool = False

    def __post_init__(self) -> None:
        _check_key(self.key, "a category's key")
        for name in ("threshold", "judge_threshold"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise UsageError(
                    f"category {self.key!r}: {name} must be above 0 and at most 1, got {value}"
                )
        if not 0 <= self.warn_threshold <= self.threshold:
            raise UsageError(
                f"category {self.key!r}: warn_threshold must be between 0 and the threshold, "
                f"{self.threshold}, got {self.warn_threshold}"
            )
        for name, spec in [("classifier", self.classifier), *(("judges", j) for j in self.judges)]:
            if ":" not in spec:
                raise UsageError(
                    f"category {self.key!r}: {name} must read scheme:argument, such as "
                    f"'pictograms:self_harm' or 'hub:REPO#LABEL', got {spec!r}"
                )
        twice = _first_double(question.key for question in self.questions)
        if twice is not None:
            raise UsageError(f"category {self.key!r}: two questions have the key {twice!r}")

    def target(self, margin: float) -> float:
        """The score that a veiled image must stay below: ``(1 - margin) * threshold``.

        Args:
            margin: in ``[0, 1)``; 0: the target is the threshold.
        """
        # (1 - 0.9) * 0.5 is 0.04999999999999999; no decision may hang on such a digit.
        rounded = float(f"{(1 - margin) * self.threshold:.12g}")
        return min(rounded, self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that :meth:`from_dict` reads."""
        values: dict[str, Any] = to_plain(self)
        return values

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Category:
        """A category from plain data.

        Missing values come from the built-in category with the same key, if there is one.
        Questions may be strings; their keys are then made from their words.

        Raises:
            UsageError: a key is unknown or missing, or a value has the wrong type.
        """
        check_keys(value, [field.name for field in fields(cls)])
        _check_kinds(value)
        given = dict(value)
        if "questions" in given:
            given["questions"] = tuple(_question(item) for item in given["questions"])
        if "judges" in given:
            given["judges"] = tuple(given["judges"])
        base = CATEGORIES.get(str(given.get("key")))
        merged = {**(vars(base) if base else {}), **given}
        for name in ("key", "title", "classifier"):
            if name not in merged:
                raise UsageError(
                    f"key {name!r} is missing; a category needs key, title, classifier"
                )
        return cls(**merged)


@dataclass(frozen=True)
class ControlCode:
    """Which classifiers flagged the image, and how strongly: conditions the reasoner.

    Attributes:
        guidance: strength for each category key, in ``[0, 1]``; 0: not conditioned.

    References:
        Bethany et al., AAAI 2024, equation (1): the control code of ConditionalVLM.
    """

    guidance: Mapping[str, float]

    def __post_init__(self) -> None:
        for key, value in self.guidance.items():
            if not 0 <= value <= 1:
                raise UsageError(f"guidance of {key!r} must lie in [0, 1], got {value}")

    @classmethod
    def from_scores(
        cls, scores: Mapping[str, float], thresholds: Mapping[str, float]
    ) -> ControlCode:
        """The score of each category that flags, and 0 for the others."""
        return cls({k: s if s >= thresholds[k] else 0.0 for k, s in scores.items()})

    @property
    def flagged(self) -> tuple[str, ...]:
        """Keys of the flagging categories, strongest first."""
        some = [key for key, value in self.guidance.items() if value > 0]
        return tuple(sorted(some, key=lambda key: -self.guidance[key]))

    def scaled(self, by: float) -> ControlCode:
        """The code with all strengths multiplied by ``by``, in ``[0, 1]``."""
        return ControlCode({key: value * by for key, value in self.guidance.items()})

    def to_dict(self) -> dict[str, float]:
        """Guidance by category key."""
        return dict(self.guidance)


def _question(item: Any) -> Question:
    if isinstance(item, str):
        words = re.findall(r"[a-z0-9]+", item.lower())
        return Question("_".join(["q", *words])[:60], item)
    if isinstance(item, Mapping):
        check_keys(item, ["key", "text"])
        if set(item) == {"key", "text"}:
            return Question(item["key"], item["text"])
    raise UsageError(f"a question is a string, or a table with key and text; got {item!r}")


def _check_key(key: str, what: str) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise UsageError(f"{what} must match [a-z][a-z0-9_]*, got {key!r}")


def _check_kinds(value: Mapping[str, Any]) -> None:
    kinds = get_type_hints(Category)
    for name, item in value.items():
        if name == "questions":
            fits, wanted = isinstance(item, list | tuple), "a list of questions"
        elif name == "judges":
            fits = isinstance(item, list | tuple) and all(isinstance(each, str) for each in item)
            wanted = "a list of specs"
        elif kinds[name] is float:
            fits = isinstance(item, int | float) and not isinstance(item, bool)
            wanted = "a number"
        elif kinds[name] is bool:
            fits, wanted = isinstance(item, bool), "true or false"
        else:
            fits, wanted = isinstance(item, str), "a string"
        if not fits:
            raise UsageError(f"key {name!r} must be {wanted}, got {item!r}")


def check_keys(value: Any, allowed: Collection[str]) -> None:
    """Refuse a table with a key that nobody reads.

    Raises:
        UsageError: the message names the key, the nearest allowed one, and all allowed ones.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"expected a table, got {value!r}")
    for key in value:
        if key not in allowed:
            raise UsageError(unknown_key(key, allowed))


def unknown_key(key: str, allowed: Collection[str]) -> str:
    """Message for a key that is not allowed."""
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key {key!r}; {hint}allowed: {', '.join(allowed)}"


def _first_double(keys: Any) -> str | None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return str(key)
        seen.add(key)
    return None


GENERIC_QUESTIONS = (
    Question("happening", "What is happening in the image?"),
    Question("people", "What are the people doing?"),
)
"""Open questions, answered by a sentence (the paper's first evaluation)."""

_SEXUALLY_EXPLICIT = Category(
    key="sexually_explicit",
    title="Sexually explicit",
    description="Sexual content or nudity.",
    questions=(
        Question("sexual_content", "Does the image contain any sexual content or nudity?"),
        Question("explicit_content", "Does the image contain explicit sexual content?"),
    ),
    classifier="pictograms:sexually_explicit",
)

_CYBERBULLYING = Category(
    key="cyberbullying",
    title="Cyberbullying",
    description="Rude gestures, weapons pointed at the viewer, threats or hateful text.",
    questions=(
        Question("gestures", "Does the image contain potentially offensive gestures or symbols?"),
        Question("weapons", "Does the image contain any weapons?"),
        Question("aggression", "Is there any aggressive behavior shown in the image?"),
        Question(
            "hate_speech", "Is there any text in the image that might be considered hate speech?"
        ),
    ),
    classifier="pictograms:cyberbullying",
)

_SELF_HARM = Category(
    key="self_harm",
    title="Self-harm",
    description="Self-inflicted injury, its means, or symbols that stand for it.",
    questions=(
        Question("depictions", "Are there any depictions of self-harm in the image?"),
        Question(
            "signs",
            "Are there visible signs of self-bruising or self-harm through physical trauma?",
        ),
        Question(
            "symbols",
            "Does the image contain symbols associated with self-destructive behavior?",
        ),
    ),
    classifier="pictograms:self_harm",
)

_FACES = Category(
    key="faces",
    title="Faces",
    description="A face that could identify someone; not harmful, veiled for privacy.",
    questions=(Question("face", "Is there a face in the image?"),),
    classifier="faces:",
)

CATEGORIES: Mapping[str, Category] = MappingProxyType(
    {c.key: c for c in (_SEXUALLY_EXPLICIT, _CYBERBULLYING, _SELF_HARM, _FACES)}
)
"""The built-in ones by key: the paper's three with its moderator questions (Table 2), watched
by the classifiers for drawn scenes, and faces."""

PAPER_CATEGORIES = ("sexually_explicit", "cyberbullying", "self_harm")
"""Keys of the paper's three categories."""
