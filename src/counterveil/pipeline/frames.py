"""A file's frames, what each category scores them, and which one is released."""

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
class Frames:
    """The frames of one file that were assessed.

    Attributes:
        photos: the frames.
        watches: the categories.
        scores: P(unsafe) of each frame for each category.
    """

    photos: tuple[Frame, ...]
    watches: tuple[CategoryClassifier, ...]
    scores: Float64[np.ndarray, "frames categories"]

    @cached_property
    def worst(self) -> int:
        """Position of the frame that is furthest over a threshold: the one that is released."""
        return int((self.scores - self._thresholds).max(axis=1).argmax())

    @property
    def released(self) -> Frame:
        """The frame that is released."""
        return self.photos[self.worst]

    @property
    def flagged(self) -> list[CategoryClassifier]:
        """Those that flag the released frame; where none does, no frame is flagged."""
        flags = self.scores[self.worst] >= self._thresholds
        return [watch for watch, flag in zip(self.watches, flags, strict=True) if flag]

    @property
    def complete(self) -> bool:
        """No frame of the file was left out."""
        return len(self.photos) == self.released.frames

    def worst_of(self, category: int) -> tuple[float, int]:
        """A category's highest score, and the index in the file of the frame that has it.

        The released frame is named where another one scores no higher.
        """
        column = self.scores[:, category]
        at = self.worst if column[self.worst] == column.max() else int(column.argmax())
        return float(column[at]), self.photos[at].frame

    def warnings(self) -> list[str]:
        """What is not released, and who flagged it."""
        total = self.released.frames
        if total == 1:
            return []
        said = [
            f"the file holds {total} frames, counted from 0; {len(self.photos)} were assessed, and "
            f"only frame {self.released.frame}, which scored worst, is released"
        ]
        for number, watch in enumerate(self.watches):
            score, frame = self.worst_of(number)
            if score >= watch.category.threshold and frame != self.released.frame:
                said.append(
                    f"{watch.category.key} flagged frame {frame} at {score:.3f}; that frame is "
                    "not released"
                )
        return said

    def source(self, name: str) -> Source:
        """The file, as records tell of it."""
        photo = self.released
        return Source(
            name=name,
            sha256=photo.sha256,
            width=photo.width,
            height=photo.height,
            format=photo.format,
            frames=photo.frames,
            frames_assessed=tuple(photo.frame for photo in self.photos),
            frame=photo.frame,
            notes=photo.notes,
        )

    @property
    def _thresholds(self) -> Float64[np.ndarray, " categories"]:
        return np.array([watch.category.threshold for watch in self.watches], float)


def assess(photos: Sequence[Frame], watches: Sequence[CategoryClassifier]) -> Frames:
    """Score every frame for every category."""
    rows = [
        [float(watch.classifier.score(photo.pixels[None])[0]) for watch in watches]
        for photo in photos
    ]
    return Frames(tuple(photos), tuple(watches), np.array(rows, float))
