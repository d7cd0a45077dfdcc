"""Offensive words written in images, ``text:LANGUAGE+FILE.txt``, offline (extra ``text``)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from counterveil.classifiers.detections import Remembered, combined_score
from counterveil.classifiers.text_reading import TextReader
from counterveil.classifiers.word_lists import WordList, parse
from counterveil.types import Box, Image, Images, Mask, MaskScoreFunction, ModelInfo, Scores

DECISION_CONFIDENCE = 0.25
"""Confidence of the OCR that becomes P = 0.5. Low, since a wrong reading is rarely on a list."""

LEGIBLE = 0.25
"""Share of a word's box that keeps most of its score: a quarter of a word can be guessed from."""

_LEGIBLE_WEIGHT = 0.9


@dataclass(frozen=True)
class Offence:
    """Words that are on the list.

    Attributes:
        score: P(offensive) where all of it can be seen, in ``[0, 1]``.
        boxes: left, top, right, bottom of each word, in pixels.
    """

    score: float
    boxes: tuple[tuple[int, int, int, int], ...]

    def seen(self, mask: Mask, *, where: bool) -> float:
        """P(offensive) where only the pixels with ``mask == where`` show the words."""
        parts = [mask[top:bottom, left:right] == where for left, top, right, bottom in self.boxes]
        share = float(np.concatenate([part.ravel() for part in parts]).mean())
        # The second term lets a search see the first, small progress.
        guessed = min(1.0, share / LEGIBLE)
        return self.score * (_LEGIBLE_WEIGHT * guessed + (1 - _LEGIBLE_WEIGHT) * share)


class TextClassifier:
    """P(unsafe) from the words in an image that are on a list of offensive words.

    A word that matches with strength ``s`` and is read with confidence ``c`` scores
    ``p = s c (1 - d) / (c (1 - d) + d (1 - c))`` with ``d`` = :data:`DECISION_CONFIDENCE`. The
    image gets the highest score; further words raise it without moving it across 0.5:
    ``P = 1 - (1 - p_1) prod_i>1 (1 - max(0, 2 p_i - 1))``. So a search sees when one of two
    words is veiled.

    Under a mask, a word scores ``p (0.9 min(1, v / 0.25) + 0.1 v)`` where ``v`` is the share of
    its box that shows, and words in the paint score by what is veiled. The OCR misreads a word
    with one letter veiled, a person does not. This score never rises while more is veiled, and
    falls below 0.5 only when hardly anything of the word is left. It needs two readings for all
    masks. The released image is read again.

    Args:
        words: what is offensive.
        spec: for records and messages.
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.
    """

    def __init__(self, words: WordList, *, spec: str = "text:", device: str = "cpu") -> None:
        self._words, self._spec = words, spec
        self._reader = TextReader(device=device)
        self._offences = Remembered(self._judge)

    @cached_property
    def info(self) -> ModelInfo:
        """Spec, versions of OCR and list, and hash of the OCR's models and the list."""
        reader, words = self._reader, self._words
        digest = hashlib.sha256(f"{reader.sha256} {words.sha256}".encode()).hexdigest()
        version = f"rapidocr {reader.version}, glin-profanity {words.version}"
        return ModelInfo(self._spec, version, digest)

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, in ``[0, 1]``; 0 where no word is on the list."""
        scores = [combined_score([o.score for o in self._offences(image)]) for image in images]
        return np.array(scores, np.float64)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction:
        """A function that scores one image under masks, by what they hide of its words."""
        written, painted = self._offences(image), self._offences(paint)

        def score(mask: Mask) -> float:
            below = [offence.seen(mask, where=False) for offence in written]
            return combined_score(below + [offence.seen(mask, where=True) for offence in painted])

        return lambda masks: np.array([score(mask) for mask in masks], np.float64)

    def boxes(self, image: Image) -> tuple[Box, ...]:
        """The boxes of the offensive words, highest score first; labels never quote a word."""
        offences = sorted(self._offences(image), key=lambda offence: -offence.score)
        return tuple(Box(*box, offence.score, "text") for offence in offences
                     for box in offence.boxes)  # fmt: skip

    def _judge(self, image: Image) -> tuple[Offence, ...]:
        lines = self._reader.read(image)
        # A phrase may go on in the next line; a pair of lines counts for what neither holds alone.
        texts = [*((line, 0) for line in lines),
                 *((a + b, len(a)) for a, b in pairwise(lines))]  # fmt: skip
        offences = []
        for words, seam in texts:
            for match in self._words.find([word.text for word in words]):
                if seam and not match.start < seam < match.stop:
                    continue
                found = words[match.start : match.stop]
                confidence = min(word.confidence for word in found)
                boxes = tuple(word.box for word in found)
                offences.append(Offence(match.strength * calibrate(confidence), boxes))
        return tuple(offences)


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> TextClassifier:
    """Load the classifier for ``LANGUAGE+FILE.txt``; English for an empty argument."""
    words = parse(argument, folder=folder)
    return TextClassifier(words, spec=f"text:{argument}", device=device)


def calibrate(confidence: float) -> float:
    """Map a confidence in ``[0, 1]`` to a probability; :data:`DECISION_CONFIDENCE` becomes 0.5."""
    confidence = min(max(confidence, 0.0), 1.0)
    unsafe = confidence * (1 - DECISION_CONFIDENCE)
    return unsafe / (unsafe + DECISION_CONFIDENCE * (1 - confidence))
