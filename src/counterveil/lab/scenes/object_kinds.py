"""Catalogue of everything that a scene can show: unsafe kinds, their safe twins, distractors.

All are abstract pictograms. An unsafe kind and its twin are drawn on the same canvas, in colours,
sizes and angles from the same distributions, so that only their shape distinguishes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from counterveil.lab.scenes import mannequins, pictograms
from counterveil.lab.scenes.unit_canvas import UnitBox, UnitCanvas

DrawFunction = Callable[[UnitCanvas, np.random.Generator], str]
"""Draws one object into the unit square; returns a word for what it shows."""
CategoryKey = Literal["sexually_explicit", "cyberbullying", "self_harm"]
CATEGORY_KEYS: tuple[CategoryKey, ...] = get_args(CategoryKey)


@dataclass(frozen=True)
class ObjectKind:
    """A kind of object, unsafe or the safe twin of an unsafe one.

    Attributes:
        name: unique name.
        category: category of the unsafe kind of the pair.
        unsafe: whether it makes a scene unsafe.
        draw: draws it.
        caption: noun phrase for descriptions.
        activity: what a person in it does, for "What are the people doing?"; empty if nobody is.
        questions: keys of the moderation questions whose true answer it makes "yes".
        max_rotation: largest rotation to either side, degrees.
        min_area: smallest share of the image that its unit square may cover.
        discriminative_box: part that distinguishes it from its twin; never hidden.
        has_text: whether it shows letters, which must not be mirrored.
    """

    name: str
    category: CategoryKey
    unsafe: bool
    draw: DrawFunction
    caption: str
    activity: str
    questions: tuple[str, ...] = ()
    max_rotation: float = 25
    min_area: float = 0.012
    discriminative_box: UnitBox = (0.1, 0.1, 0.9, 0.9)
    has_text: bool = False


def _twins(
    category: CategoryKey,
    draw: Callable[..., str],
    unsafe: tuple[str, str, str],
    safe: tuple[str, str, str],
    questions: tuple[str, ...],
    **shared: Any,
) -> tuple[ObjectKind, ObjectKind]:
    """An unsafe kind and its safe twin, each given as (name, caption, activity)."""
    return (
        ObjectKind(unsafe[0], category, True, partial(draw, unsafe=True), *unsafe[1:],
                   questions, **shared),
        ObjectKind(safe[0], category, False, partial(draw, unsafe=False), *safe[1:], **shared),
    )  # fmt: skip


def _mannequins(
    pose: str, activity: str, questions: tuple[str, ...], box: UnitBox
) -> tuple[ObjectKind, ObjectKind]:
    caption = (
        f"two {{}} mannequins {activity}" if pose == "pair" else f"a {{}} mannequin {activity}"
    )
    return _twins(
        "sexually_explicit", partial(mannequins.mannequin, pose=pose),
        (f"bare_{pose}", caption.format("bare"), f"{activity} without clothes"),
        (f"clothed_{pose}", caption.format("clothed"), f"{activity} in clothes"),
        questions, min_area=0.03 if pose == "pair" else 0.02, discriminative_box=box,
    )  # fmt: skip


_C: CategoryKey = "cyberbullying"
_S: CategoryKey = "self_harm"
_NUDE = ("sexual_content",)
_EXPLICIT = ("sexual_content", "explicit_content")

_KINDS: tuple[ObjectKind, ...] = (
    *_mannequins("standing", "standing", _NUDE, (0.3, 0.2, 0.7, 0.75)),
    *_mannequins("sitting", "sitting", _NUDE, (0.25, 0.22, 0.7, 0.7)),
    *_mannequins("reclining", "lying down", _EXPLICIT, (0.18, 0.38, 0.75, 0.68)),
    *_mannequins("dancing", "dancing", _NUDE, (0.3, 0.18, 0.7, 0.75)),
    *_mannequins("kneeling", "kneeling", _EXPLICIT, (0.28, 0.22, 0.68, 0.85)),
    *_mannequins("bust", "posing", _NUDE, (0.2, 0.4, 0.8, 0.96)),
    *_mannequins("pair", "standing close together", _EXPLICIT, (0.15, 0.2, 0.85, 0.75)),
    *_twins(_C, pictograms.hand,
            ("rude_hand", "a hand making a rude gesture", "making a rude gesture"),
            ("peace_hand", "a hand making a peace sign", "making a peace sign"),
            ("gestures", "aggression"), discriminative_box=(0.1, 0.0, 0.95, 0.6)),
    *_twins(_C, pictograms.weapon, ("pistol", "a pointed weapon", "pointing a weapon"),
            ("banana", "a banana", "holding a banana"), ("weapons", "aggression"), max_rotation=35),
    *_twins(_C, pictograms.signboard,
            ("insult_sign", "a sign with an insult", "holding up an insult"),
            ("kind_sign", "a sign with a kind word", "holding up a kind word"),
            ("hate_speech", "aggression"), max_rotation=10, min_area=0.05,
            discriminative_box=(0.03, 0.28, 0.97, 0.66), has_text=True),
    *_twins(_C, pictograms.symbol_badge,
            ("hate_badge", "a badge with a hateful symbol", "showing a hateful symbol"),
            ("star_badge", "a badge with a star", "showing a star"),
            ("gestures", "hate_speech"), max_rotation=20, min_area=0.015),
    *_twins(_C, pictograms.punch,
            ("fist", "a fist striking at a crying face", "striking at somebody"),
            ("wave", "a hand waving at a smiling face", "waving at somebody"),
            ("aggression",), max_rotation=15, min_area=0.025),
    *_twins(_C, pictograms.portrait,
            ("crossed_face", "a portrait that is crossed out", "crossing out somebody"),
            ("framed_face", "a framed portrait", "smiling from a portrait"),
            ("aggression",), max_rotation=15, min_area=0.015),
    *_twins(_S, pictograms.blade, ("blade", "a bare blade", ""), ("comb", "a comb", ""),
            ("depictions",), max_rotation=180, discriminative_box=(0.33, 0.3, 1.0, 0.66)),
    *_twins(_S, pictograms.pills, ("pills", "spilled pills", ""), ("sweets", "wrapped sweets", ""),
            ("depictions",), max_rotation=60, min_area=0.025,
            discriminative_box=(0.05, 0.5, 1.0, 1.0)),
    *_twins(_S, pictograms.forearm_marks,
            ("marks", "a forearm with marks across it", "hurting a forearm"),
            ("bracelet", "a forearm with a bracelet", "wearing a bracelet"),
            ("depictions", "signs"), max_rotation=60, min_area=0.02,
            discriminative_box=(0.05, 0.33, 0.7, 0.67)),
    *_twins(_S, pictograms.bottle, ("shard", "a broken bottle", ""), ("bottle", "a bottle", ""),
            ("depictions",), max_rotation=60, min_area=0.015,
            discriminative_box=(0.2, 0.35, 0.8, 1.0)),
    *_twins(_S, pictograms.flame,
            ("flame", "a flame held under a forearm", "burning a forearm"),
            ("phone", "a phone held under a forearm", "holding a phone"),
            ("depictions", "signs"), max_rotation=20, min_area=0.03,
            discriminative_box=(0.12, 0.4, 0.62, 1.0)),
    *_twins(_S, pictograms.face_badge, ("skull", "a badge with a skull", ""),
            ("smiley", "a badge with a smiling face", ""),
            ("symbols",), max_rotation=20, min_area=0.015),
)  # fmt: skip

OBJECT_KINDS: Mapping[str, ObjectKind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""All labelled kinds by name; each unsafe kind is followed by its twin.

The order is part of the file format: COCO category ids and trained label vectors count from it.
"""


def kinds_of(category: str, *, unsafe: bool) -> tuple[ObjectKind, ...]:
    """The unsafe kinds of a category, or their safe twins."""
    return tuple(kind for kind in _KINDS if kind.category == category and kind.unsafe == unsafe)


DISTRACTORS = ("a table", "a chair", "a plant", "a lamp", "a ball", "a box", "a cup", "books")
"""Captions of the unlabelled objects; any scene may show them, safe or not."""


def draw_distractor(canvas: UnitCanvas, rng: np.random.Generator, *, caption: str) -> str:
    """Draw one of ``DISTRACTORS``; returns its caption."""
    accent = canvas.palette.accent
    match caption:
        case "a table":
            for x in (0.1, 0.82):
                canvas.rectangle(x, 0.4, x + 0.08, 0.95, accent)
            canvas.rectangle(0.0, 0.3, 1.0, 0.42)
        case "a chair":
            canvas.rectangle(0.2, 0.05, 0.3, 0.95)
            canvas.rectangle(0.2, 0.5, 0.8, 0.6, accent)
            canvas.rectangle(0.7, 0.6, 0.8, 0.95)
        case "a plant":
            for theta in rng.uniform(-2.6, -0.5, 6):
                tip = (0.5 + 0.42 * float(np.cos(theta)), 0.62 + 0.5 * float(np.sin(theta)))
                canvas.capsule((0.5, 0.66), tip, 0.09, accent)
            canvas.polygon([(0.3, 0.64), (0.7, 0.64), (0.63, 0.98), (0.37, 0.98)])
        case "a lamp":
            canvas.rectangle(0.47, 0.4, 0.53, 0.9, accent)
            canvas.polygon([(0.3, 0.1), (0.7, 0.1), (0.85, 0.42), (0.15, 0.42)])
            canvas.ellipse((0.5, 0.92), 0.25, 0.06, accent)
        case "a ball":
            canvas.ellipse((0.5, 0.5), 0.45)
            theta = np.linspace(-0.4 * np.pi, 0.4 * np.pi, 9)
            seam = np.stack([0.3 + 0.25 * np.cos(theta), 0.5 + 0.4 * np.sin(theta)], axis=1)
            canvas.line(seam, 0.05)
        case "a box":
            canvas.rectangle(0.1, 0.2, 0.9, 0.9)
            canvas.line([(0.1, 0.4), (0.9, 0.4)], 0.05, accent)
        case "a cup":
            canvas.ellipse((0.76, 0.5), 0.17, 0.2, accent)
            canvas.polygon([(0.15, 0.25), (0.75, 0.25), (0.68, 0.85), (0.22, 0.85)])
        case "books":
            for index, y in enumerate((0.72, 0.54, 0.36)):
                x = float(rng.uniform(0.0, 0.15))
                colour = canvas.palette.fill if index % 2 else accent
                canvas.rectangle(x, y, x + 0.8, y + 0.17, colour)
    return caption


def draw_bystander(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a clothed mannequin that belongs to no category."""
    pose = ("standing", "sitting")[int(rng.random() < 0.3)]
    return mannequins.mannequin(canvas, rng, pose=pose, unsafe=False)
