"""Transfer: does a veil also lower the scores of classifiers that took no part in the search?

The smallest veil that flips one classifier may hide a scrap that only this classifier looks at.
Any veil lowers scores a little, so each is compared with random veils of the same area and shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterveil.fills import Fill
from counterveil.lab.benchmarks.bootstrap import bootstrap_fall_ratio, bootstrap_mean
from counterveil.lab.benchmarks.veil_shape import split_pieces
from counterveil.types import Classifier, Image, Mask

RANDOM_VEILS = 8
"""Random veils that each veil is compared with."""
RAISED = 0.2
"""A judge's score counts from here on: a score that is low anyway cannot fall."""

_LAYOUTS, _PLACES = 10, 50
"""Most tries to place all pieces, and to place one of them."""

JudgeScores = Mapping[str, float | None]
"""Scores of one judge on one image: ``before``; ``after`` the veil; mean of the ``random`` veils.
The last two are ``None`` where the first is below ``RAISED``."""


def random_veil(mask: Mask, rng: np.random.Generator) -> Mask:
    """A mask of the same area and shape elsewhere.

    Each piece is mirrored at random and moved to a random place where it fits and overlaps no
    other. If they are too crowded for that, the whole mask is mirrored and shifted, and what
    leaves the image comes in again at the other side.
    """
    pieces = split_pieces(mask)
    for _ in range(_LAYOUTS):
        moved = np.zeros_like(mask)
        if all(_place(piece, moved, rng) for piece in pieces):
            return moved
    shift = tuple(rng.integers(0, mask.shape))
    shifted: Mask = np.roll(_mirrored(mask, rng), shift, axis=(0, 1))
    return shifted


def judge_scores(
    judge: Classifier, image: Image, mask: Mask, fill: Fill, rng: np.random.Generator
) -> JudgeScores:
    """What one judge says of an image, of its veil, and of random veils."""
    before = float(judge.score(image[None])[0])
    if before < RAISED:
        return {"before": before, "after": None, "random": None}
    others = [random_veil(mask, rng) for _ in range(RANDOM_VEILS)]
    # One image a call: a batch of large images would not fit into memory.
    after, *random = (float(judge.score(fill(image, each[None]))[0]) for each in (mask, *others))
    return {"before": before, "after": after, "random": float(np.mean(random))}


def summarise_transfer(scores: Sequence[JudgeScores]) -> dict[str, Any]:
    """One judge's falls, over the images where its score was raised.

    Returns:
        ``images``: their number; ``before``: mean score; ``fall``, ``random_fall``: mean fall
        under the veils and under random ones; ``fall_difference``; ``fall_ratio``: ratio of the
        means.
    """
    rows = [
        (before, after, random)
        for each in scores
        for before, after, random in [(each["before"], each["after"], each["random"])]
        if before is not None and after is not None and random is not None
    ]
    falls = [before - after for before, after, _ in rows]
    random_falls = [before - random for before, _, random in rows]
    differences = [a - b for a, b in zip(falls, random_falls, strict=True)]
    return {
        "images": len(rows),
        "before": bootstrap_mean([row[0] for row in rows]).to_dict(),
        "fall": bootstrap_mean(falls).to_dict(),
        "random_fall": bootstrap_mean(random_falls).to_dict(),
        "fall_difference": bootstrap_mean(differences).to_dict(),
        "fall_ratio": bootstrap_fall_ratio(falls, random_falls).to_dict(),
    }


def _place(piece: Mask, taken: Mask, rng: np.random.Generator) -> bool:
    """Add a piece to ``taken`` at a random free place; whether one was found."""
    height, width = piece.shape
    for _ in range(_PLACES):
        turned = _mirrored(piece, rng)
        top = int(rng.integers(0, taken.shape[0] - height + 1))
        left = int(rng.integers(0, taken.shape[1] - width + 1))
        place = taken[top : top + height, left : left + width]
        if not (place & turned).any():
            place |= turned
            return True
    return False


def _mirrored(mask: Mask, rng: np.random.Generator) -> Mask:
    """The mask, upside down or not, left and right exchanged or not."""
    down, across = rng.choice((-1, 1), 2)
    return mask[::down, ::across]
