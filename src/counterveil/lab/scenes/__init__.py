"""Drawn scenes: synthetic images of abstract pictograms with pixel-exact ground truth."""

from counterveil.lab.scenes.object_kinds import CATEGORY_KEYS, DISTRACTORS, OBJECT_KINDS, ObjectKind
from counterveil.lab.scenes.scene import (
    SCENE_KINDS,
    ReferenceAnswer,
    Scene,
    draw_scene,
    reference_answers,
)
from counterveil.lab.scenes.scene_canvas import SceneObject

__all__ = [
    "CATEGORY_KEYS", "DISTRACTORS", "OBJECT_KINDS", "SCENE_KINDS", "ObjectKind", "ReferenceAnswer",
    "Scene", "SceneObject", "draw_scene", "reference_answers",
]  # fmt: skip
