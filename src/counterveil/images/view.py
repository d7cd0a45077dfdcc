"""One way in which viewers show a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterveil.types import Image


@dataclass(frozen=True, eq=False)
class View:
    """One way in which viewers show a picture.

    Attributes:
        pixels: RGB.
        name: how they come about, such as ``"on black"``; empty for the plain way.
        notes: what the conversion changed, for people.
    """

    pixels: Image
    name: str = ""
    notes: tuple[str, ...] = ()

    def then(self, pixels: Image, name: str = "", *notes: str) -> View:
        """This view after one more step."""
        joined = ", ".join(part for part in (name, self.name) if part)
        return View(pixels, joined, (*self.notes, *(note for note in notes if note)))

    def same_as(self, other: View) -> bool:
        """Whether both show the same pixels."""
        return np.array_equal(self.pixels, other.pixels)

    def close_to(self, other: View) -> bool:
        """Whether both show the same pixels, but for rounding by up to 2 levels."""
        if self.pixels.shape != other.pixels.shape:
            return False
        higher = np.maximum(self.pixels, other.pixels)
        return bool((higher - np.minimum(self.pixels, other.pixels)).max() <= 2)
