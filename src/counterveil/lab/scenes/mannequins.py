"""Jointed wooden mannequins in several poses, bare or clothed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from counterveil.lab.scenes.unit_canvas import Colour, Point, UnitCanvas

Joints = Mapping[str, Point]

_JOINT_NAMES = ("head", "neck", "hip", "elbow_l", "hand_l", "elbow_r", "hand_r", "knee_l", "foot_l",
                "knee_r", "foot_r")  # fmt: skip
_POSES: Mapping[str, tuple[Point, ...]] = MappingProxyType({
    "standing": (
        (0.50, 0.11), (0.50, 0.21), (0.50, 0.52), (0.33, 0.37), (0.29, 0.53), (0.67, 0.37),
        (0.71, 0.53), (0.43, 0.73), (0.41, 0.95), (0.57, 0.73), (0.59, 0.95)),
    "sitting": (
        (0.40, 0.15), (0.40, 0.26), (0.40, 0.60), (0.30, 0.44), (0.42, 0.58), (0.52, 0.42),
        (0.64, 0.55), (0.66, 0.62), (0.64, 0.90), (0.72, 0.66), (0.76, 0.92)),
    "reclining": (
        (0.12, 0.42), (0.22, 0.47), (0.52, 0.58), (0.20, 0.62), (0.10, 0.72), (0.38, 0.40),
        (0.52, 0.42), (0.72, 0.44), (0.92, 0.60), (0.74, 0.62), (0.94, 0.70)),
    "dancing": (
        (0.50, 0.13), (0.50, 0.23), (0.48, 0.53), (0.30, 0.22), (0.24, 0.06), (0.70, 0.24),
        (0.80, 0.08), (0.34, 0.70), (0.46, 0.86), (0.60, 0.74), (0.66, 0.95)),
    "kneeling": (
        (0.46, 0.15), (0.47, 0.26), (0.46, 0.62), (0.32, 0.42), (0.36, 0.58), (0.60, 0.42),
        (0.62, 0.58), (0.50, 0.88), (0.24, 0.92), (0.64, 0.82), (0.60, 0.94)),
})  # fmt: skip
"""Position of each joint, in the order of ``_JOINT_NAMES``."""


def mannequin(canvas: UnitCanvas, rng: np.random.Generator, *, pose: str, unsafe: bool) -> str:
    """Draw a bare mannequin, whose joints show; twin: one in shirt and trousers.

    ``pose`` is a key of ``_POSES``, ``bust`` (head and trunk without limbs) or ``pair`` (two
    mannequins side by side). Returns the pose.
    """
    if pose == "bust":
        _bust(canvas, rng, clothed=not unsafe)
    elif pose == "pair":
        for dx in (-0.16, 0.16):
            _whole_body(canvas, rng, "standing", clothed=not unsafe, dx=dx)
    else:
        _whole_body(canvas, rng, pose, clothed=not unsafe)
    return pose


def _whole_body(
    canvas: UnitCanvas, rng: np.random.Generator, pose: str, *, clothed: bool, dx: float = 0.0
) -> None:
    joints = _jittered(pose, rng, dx)
    bulk = float(rng.uniform(0.9, 1.15))
    for side in "lr":
        _limb(canvas, joints, ("hip", f"knee_{side}", f"foot_{side}"), 0.085 * bulk)
    neck, hip = joints["neck"], joints["hip"]
    canvas.capsule(neck, _interpolate(neck, hip, 0.18), 0.07)
    for start, end, width in ((0.28, 0.5, 0.22), (0.5, 0.85, 0.17)):
        canvas.capsule(_interpolate(neck, hip, start), _interpolate(neck, hip, end), width * bulk)
    canvas.capsule(_interpolate(neck, hip, 0.9), hip, 0.19 * bulk)
    for side in "lr":
        _limb(canvas, joints, (f"shoulder_{side}", f"elbow_{side}", f"hand_{side}"), 0.065 * bulk)
    if clothed:
        _clothes(canvas, joints, bulk, rng)
    else:
        _ball_joints(canvas, joints)
    canvas.ellipse(joints["head"], 0.075 * bulk, 0.092 * bulk)


def _jittered(pose: str, rng: np.random.Generator, dx: float) -> dict[str, Point]:
    """Shift each joint at random, all of them by ``dx``, and add the two shoulders."""
    jitter = rng.uniform(-0.025, 0.025, (len(_JOINT_NAMES), 2))
    joints = {
        name: (x + dx + float(jx), y + float(jy))
        for name, (x, y), (jx, jy) in zip(_JOINT_NAMES, _POSES[pose], jitter, strict=True)
    }
    # Shoulders lie beside the neck, perpendicular to the trunk.
    (nx, ny), (hx, hy) = joints["neck"], joints["hip"]
    length = max(float(np.hypot(hx - nx, hy - ny)), 1e-6)
    normal = ((hy - ny) / length, -(hx - nx) / length)
    for side, offset in (("l", -0.11), ("r", 0.11)):
        joints[f"shoulder_{side}"] = (
            nx + normal[0] * offset + 0.02 * (hx - nx),
            ny + normal[1] * offset + 0.1 * (hy - ny),
        )
    return joints


def _limb(canvas: UnitCanvas, joints: Joints, names: tuple[str, str, str], width: float) -> None:
    start, middle, end = (joints[name] for name in names)
    canvas.capsule(start, middle, width)
    canvas.capsule(middle, end, width * 0.85)


def _ball_joints(canvas: UnitCanvas, joints: Joints) -> None:
    """Draw ball joints and the gaps between the parts of the trunk."""
    line = canvas.palette.line
    for name in ("elbow_l", "elbow_r", "knee_l", "knee_r"):
        canvas.ellipse(joints[name], 0.03, 0.03, line)
    for name in ("shoulder_l", "shoulder_r"):
        canvas.ellipse(joints[name], 0.035, 0.035, line)
    (nx, ny), (hx, hy) = joints["neck"], joints["hip"]
    length = max(float(np.hypot(hx - nx, hy - ny)), 1e-6)
    normal = (0.085 * (hy - ny) / length, -0.085 * (hx - nx) / length)
    for fraction in (0.55, 0.85):
        x, y = _interpolate(joints["neck"], joints["hip"], fraction)
        canvas.line([(x - normal[0], y - normal[1]), (x + normal[0], y + normal[1])], 0.02)


def _clothes(canvas: UnitCanvas, joints: Joints, bulk: float, rng: np.random.Generator) -> None:
    shirt = canvas.palette.accent
    shade = float(rng.choice([0.55, 0.7, 1.35]))
    r, g, b = (int(np.clip(channel * shade + 10, 0, 255)) for channel in shirt)
    trousers: Colour = (r, g, b)
    long = bool(rng.random() < 0.5)
    neck, hip = joints["neck"], joints["hip"]
    for side in "lr":
        knee, foot = joints[f"knee_{side}"], joints[f"foot_{side}"]
        canvas.capsule(hip, knee, 0.115 * bulk, trousers)
        if long:
            canvas.capsule(knee, _interpolate(knee, foot, 0.75), 0.1 * bulk, trousers)
        shoulder, elbow = joints[f"shoulder_{side}"], joints[f"elbow_{side}"]
        sleeve_end = elbow if long else _interpolate(shoulder, elbow, 0.65)
        canvas.capsule(shoulder, sleeve_end, 0.1, shirt)
    chest, waist = _interpolate(neck, hip, 0.3), _interpolate(neck, hip, 0.8)
    canvas.capsule(_interpolate(neck, hip, 0.88), hip, 0.21 * bulk, trousers)
    canvas.capsule(chest, waist, 0.24 * bulk, shirt)
    if rng.random() < 0.5:
        canvas.line([chest, waist], 0.025)


def _interpolate(a: Point, b: Point, fraction: float) -> Point:
    return (a[0] + (b[0] - a[0]) * fraction, a[1] + (b[1] - a[1]) * fraction)


def _bust(canvas: UnitCanvas, rng: np.random.Generator, *, clothed: bool) -> None:
    half = float(rng.uniform(0.26, 0.32))
    left, right = 0.5 - half, 0.5 + half
    trunk = [(left, 0.42), (right, 0.42), (0.5 + half * 0.75, 0.95), (0.5 - half * 0.75, 0.95)]
    canvas.capsule((0.5, 0.3), (0.5, 0.45), 0.12)
    canvas.polygon(trunk)
    for x in (left, right):
        canvas.ellipse((x, 0.46), 0.085)
    if clothed:
        shirt = canvas.palette.accent
        for x in (left, right):
            canvas.ellipse((x, 0.47), 0.1, 0.1, shirt)
        canvas.polygon(trunk, shirt)
        canvas.polygon([(0.42, 0.42), (0.58, 0.42), (0.5, 0.56)])  # neckline
        if rng.random() < 0.5:
            for y in (0.65, 0.75, 0.85):
                canvas.line([(0.5 - half * 0.8, y), (0.5 + half * 0.8, y)], 0.025)
        else:
            for y in (0.64, 0.74, 0.84):
                canvas.ellipse((0.5, y), 0.02, 0.02, canvas.palette.line)
    else:
        canvas.line([(0.5 - half * 0.9, 0.66), (0.5 + half * 0.9, 0.66)], 0.03)
        canvas.line([(0.5, 0.45), (0.5, 0.64)], 0.025)
        canvas.line([(0.5 - half * 0.8, 0.82), (0.5 + half * 0.8, 0.82)], 0.03)
    canvas.ellipse((0.5, 0.2), 0.12, 0.15)
