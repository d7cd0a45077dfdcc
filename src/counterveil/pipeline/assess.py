"""Step 1: score every view of every frame of a file for every category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from counterveil.pipeline.components import CategoryClassifier
from counterveil.record import Source
from counterveil.types import Frame


@dataclass(frozen=True, eq=False)
class Assessment:
    """Scores of one file.

    Attributes:
        frames: the frames that were scored, in every view.
        classifiers: one for each category.
        scores: P(unsafe) of each frame for each category.
    """

    frames: tuple[Frame, ...]
    classifiers: tuple[CategoryClassifier, ...]
    scores: Float64[np.ndarray, "frames categories"]

    @cached_property
    def released_index(self) -> int:
        """Index, in ``frames``, of the frame that is furthest above a threshold.

        It is one that may be released and, where none of these is flagged, a plain view.
        """
        # Relative to the threshold: 0.6 of 0.5 is worse than 0.8 of 0.9.
        margins = (self.scores - self._thresholds).max(axis=1)
        candidates = [i for i, frame in enumerate(self.frames) if frame.released]
        if not any(margins[i] >= 0 for i in candidates):
            candidates = [i for i in candidates if not self.frames[i].view]
        return max(candidates, key=lambda i: margins[i])

    @property
    def frame(self) -> Frame:
        """The frame that is veiled and released."""
        return self.frames[self.released_index]

    @property
    def frame_scores(self) -> Float64[np.ndarray, " categories"]:
        """Scores of the released frame."""
        row: np.ndarray = self.scores[self.released_index]
        return row

    @property
    def flagged(self) -> tuple[CategoryClassifier, ...]:
        """Categories that flag the released frame. Where it is clean, all that may be released is.

        A further picture in the file, such as a thumbnail, may still be flagged.
        """
        flags = self.frame_scores >= self._thresholds
        return tuple(each for each, flag in zip(self.classifiers, flags, strict=True) if flag)

    @property
    def not_assessed(self) -> tuple[str, ...]:
        """Sentences on what in the file was not scored."""
        return self.frame.not_assessed

    @property
    def frames_assessed(self) -> tuple[int, ...]:
        """Indices in the file of the frames that were scored; views of one frame count once."""
        return tuple(dict.fromkeys(each.frame for each in self.frames if each.released))

    def highest_score(self, category: int) -> tuple[float, Frame]:
        """A category's highest score, and the frame or view that has it.

        On a tie with another frame, the released frame is named.
        """
        column = self.scores[:, category]
        tied = column[self.released_index] == column.max()
        index = self.released_index if tied else int(column.argmax())
        return float(column[index]), self.frames[index]

    def source(self, name: str) -> Source:
        """The file, as a record describes it."""
        frame = self.frame
        view = (f"this is the view “{frame.view}”, which scored worst",) if frame.view else ()
        return Source(
            name=name,
            sha256=frame.sha256,
            width=frame.width,
            height=frame.height,
            format=frame.format,
            frames=frame.frames,
            frames_assessed=self.frames_assessed,
            frame=frame.frame,
            notes=(*frame.notes, *view),
        )

    @property
    def _thresholds(self) -> Float64[np.ndarray, " categories"]:
        return np.array([each.category.threshold for each in self.classifiers], float)


def assess(frames: Sequence[Frame], classifiers: Sequence[CategoryClassifier]) -> Assessment:
    """Score every frame for every category."""
    # One image a call: frames of one file may differ in size.
    scores = [
        [float(each.classifier.score(frame.pixels[None])[0]) for each in classifiers]
        for frame in frames
    ]
    return Assessment(tuple(frames), tuple(classifiers), np.array(scores, float))
