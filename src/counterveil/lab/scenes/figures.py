"""Jointed wooden mannequins, bare or clothed, in any pose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from counterveil.lab.scenes.pen import Colour, Pen

Point = tuple[float, float]
Pose = Mapping[str, Point]

_STANDING: Pose = MappingProxyType(
    {
        "head": (0.5, 0.11), "neck": (0.5, 0.21), "hip": (0.5, 0.52),
        "elbow_l": (0.33, 0.37), "hand_l": (0.29, 0.53),
        "elbow_r": (0.67, 0.37), "hand_r": (0.71, 0.53),
        "knee_l": (0.43, 0.73), "foot_l": (0.41, 0.95),
        "knee_r": (0.57, 0.73), "foot_r": (0.59, 0.95),
    }
)  # fmt: skip
_SITTING: Pose = MappingProxyType(
    {
        "head": (0.40, 0.15), "neck": (0.40, 0.26), "hip": (0.40, 0.60),
        "elbow_l": (0.30, 0.44), "hand_l": (0.42, 0.58),
        "elbow_r": (0.52, 0.42), "hand_r": (0.64, 0.55),
        "knee_l": (0.66, 0.62), "foot_l": (0.64, 0.90),
        "knee_r": (0.72, 0.66), "foot_r": (0.76, 0.92),
    }
)  # fmt: skip
_RECLINING: Pose = MappingProxyType(
    {
        "head": (0.12, 0.42), "neck": (0.22, 0.47), "hip": (0.52, 0.58),
        "elbow_l": (0.20, 0.62), "hand_l": (0.10, 0.72),
        "elbow_r": (0.38, 0.40), "hand_r": (0.52, 0.42),
        "knee_l": (0.72, 0.44), "foot_l": (0.92, 0.60),
        "knee_r": (0.74, 0.62), "foot_r": (0.94, 0.70),
    }
)  # fmt: skip
_DANCING: Pose = MappingProxyType(
    {
        "head": (0.50, 0.13), "neck": (0.50, 0.23), "hip": (0.48, 0.53),
        "elbow_l": (0.30, 0.22), "hand_l": (0.24, 0.06),
        "elbow_r": (0.70, 0.24), "hand_r": (0.80, 0.08),
        "knee_l": (0.34, 0.70), "foot_l": (0.46, 0.86),
        "knee_r": (0.60, 0.74), "foot_r": (0.66, 0.95),
    }
)  # fmt: skip
_KNEELING: Pose = MappingProxyType(
    {
        "head": (0.46, 0.15), "neck": (0.47, 0.26), "hip": (0.46, 0.62),
        "elbow_l": (0.32, 0.42), "hand_l": (0.36, 0.58),
        "elbow_r": (0.60, 0.42), "hand_r": (0.62, 0.58),
        "knee_l": (0.50, 0.88), "foot_l": (0.24, 0.92),
        "knee_r": (0.64, 0.82), "foot_r": (0.60, 0.94),
    }
)  # fmt: skip
POSES: Mapping[str, Pose] = MappingProxyType(
    {
        "standing": _STANDING,
        "sitting": _SITTING,
        "reclining": _RECLINING,
        "dancing": _DANCING,
        "kneeling": _KNEELING,
    }
)


def mannequin(
    pen: Pen, pose: str, rng: np.random.Generator, *, clothed: bool, shift: Point = (0.0, 0.0)
) -> None:
    """Draw a figure; bare ones show their joints, clothed ones wear a shirt and trousers."""
    at = _varied(POSES[pose], rng, shift)
    bulk = float(rng.uniform(0.9, 1.15))
    for side in "lr":
        _limb(pen, at["hip"], at[f"knee_{side}"], at[f"foot_{side}"], 0.085 * bulk)
    _trunk(pen, at["neck"], at["hip"], bulk)
    for side in "lr":
        _limb(pen, _shoulder(at, side), at[f"elbow_{side}"], at[f"hand_{side}"], 0.065 * bulk)
    if clothed:
        _dress(pen, at, bulk, rng)
    else:
        _joints(pen, at)
    pen.ellipse(at["head"], 0.075 * bulk, 0.092 * bulk)


def bust(pen: Pen, rng: np.random.Generator, *, clothed: bool) -> None:
    """Head and trunk, without limbs."""
    wide = float(rng.uniform(0.26, 0.32))
    trunk = [
        (0.5 - wide, 0.42), (0.5 + wide, 0.42),
        (0.5 + wide * 0.75, 0.95), (0.5 - wide * 0.75, 0.95),
    ]  # fmt: skip
    pen.capsule((0.5, 0.3), (0.5, 0.45), 0.12)
    pen.polygon(trunk)
    for x in (0.5 - wide, 0.5 + wide):
        pen.ellipse((x, 0.46), 0.085)
    if clothed:
        _shirt(pen, trunk, wide, rng)
    else:
        pen.line([(0.5 - wide * 0.9, 0.66), (0.5 + wide * 0.9, 0.66)], 0.03)
        pen.line([(0.5, 0.45), (0.5, 0.64)], 0.025)
        pen.line([(0.5 - wide * 0.8, 0.82), (0.5 + wide * 0.8, 0.82)], 0.03)
    pen.ellipse((0.5, 0.2), 0.12, 0.15)


def _shirt(pen: Pen, trunk: list[Point], wide: float, rng: np.random.Generator) -> None:
    colour = pen.ink.accent
    for x in (0.5 - wide, 0.5 + wide):
        pen.ellipse((x, 0.47), 0.1, 0.1, colour)
    pen.polygon(trunk, colour)
    pen.polygon([(0.42, 0.42), (0.58, 0.42), (0.5, 0.56)])  # neckline
    if rng.random() < 0.5:
        for y in (0.65, 0.75, 0.85):
            pen.line([(0.5 - wide * 0.8, y), (0.5 + wide * 0.8, y)], 0.025)
    else:
        for y in (0.64, 0.74, 0.84):
            pen.ellipse((0.5, y), 0.02, 0.02, pen.ink.line)


def _varied(pose: Pose, rng: np.random.Generator, shift: Point) -> dict[str, Point]:
    jitter = rng.uniform(-0.025, 0.025, (len(pose), 2))
    return {
        name: (x + shift[0] + float(dx), y + shift[1] + float(dy))
        for (name, (x, y)), (dx, dy) in zip(pose.items(), jitter, strict=True)
    }


def _shoulder(at: Mapping[str, Point], side: str) -> Point:
    """Beside the neck, across the trunk."""
    (nx, ny), (hx, hy) = at["neck"], at["hip"]
    length = max(float(np.hypot(hx - nx, hy - ny)), 1e-6)
    across = ((hy - ny) / length, -(hx - nx) / length)
    sign = -0.11 if side == "l" else 0.11
    return (nx + across[0] * sign + 0.02 * (hx - nx), ny + across[1] * sign + 0.1 * (hy - ny))


def _limb(pen: Pen, start: Point, joint: Point, end: Point, width: float) -> None:
    pen.capsule(start, joint, width)
    pen.capsule(joint, end, width * 0.85)


def _trunk(pen: Pen, neck: Point, hip: Point, bulk: float) -> None:
    upper = _between(neck, hip, 0.18)
    pen.capsule(neck, upper, 0.07)
    pen.capsule(_between(neck, hip, 0.28), _between(neck, hip, 0.5), 0.22 * bulk)
    pen.capsule(_between(neck, hip, 0.5), _between(neck, hip, 0.85), 0.17 * bulk)
    pen.capsule(_between(neck, hip, 0.9), hip, 0.19 * bulk)


def _joints(pen: Pen, at: Mapping[str, Point]) -> None:
    """Ball joints and the gaps between the parts of the trunk."""
    for name in ("elbow_l", "elbow_r", "knee_l", "knee_r"):
        pen.ellipse(at[name], 0.03, 0.03, pen.ink.line)
    for side in "lr":
        pen.ellipse(_shoulder(at, side), 0.035, 0.035, pen.ink.line)
    (nx, ny), (hx, hy) = at["neck"], at["hip"]
    length = max(float(np.hypot(hx - nx, hy - ny)), 1e-6)
    across = (0.085 * (hy - ny) / length, -0.085 * (hx - nx) / length)
    for part in (0.55, 0.85):
        x, y = _between(at["neck"], at["hip"], part)
        pen.line([(x - across[0], y - across[1]), (x + across[0], y + across[1])], 0.02)


def _dress(pen: Pen, at: Mapping[str, Point], bulk: float, rng: np.random.Generator) -> None:
    shirt, trousers = pen.ink.accent, _other(pen.ink.accent, rng)
    long = bool(rng.random() < 0.5)
    for side in "lr":
        knee, foot = at[f"knee_{side}"], at[f"foot_{side}"]
        pen.capsule(at["hip"], knee, 0.115 * bulk, trousers)
        if long:
            pen.capsule(knee, _between(knee, foot, 0.75), 0.1 * bulk, trousers)
        elbow = at[f"elbow_{side}"]
        shoulder = _shoulder(at, side)
        pen.capsule(shoulder, elbow if long else _between(shoulder, elbow, 0.65), 0.1, shirt)
    pen.capsule(_between(at["neck"], at["hip"], 0.88), at["hip"], 0.21 * bulk, trousers)
    pen.capsule(
        _between(at["neck"], at["hip"], 0.3),
        _between(at["neck"], at["hip"], 0.8),
        0.24 * bulk,
        shirt,
    )
    if rng.random() < 0.5:
        pen.line([_between(at["neck"], at["hip"], p) for p in (0.3, 0.8)], 0.025)


def _between(a: Point, b: Point, part: float) -> Point:
    return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)


def _other(colour: Colour, rng: np.random.Generator) -> Colour:
    """A colour of the same family, plainly darker or lighter."""
    factor = float(rng.choice([0.55, 0.7, 1.35]))
    return tuple(int(np.clip(c * factor + 10, 0, 255)) for c in colour)  # type: ignore[return-value]
