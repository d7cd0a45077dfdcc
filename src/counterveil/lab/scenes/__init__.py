"""Proxy scenes: abstract pictograms with a truth that no real data set could have."""

from counterveil.lab.scenes.compose import SCENE_KINDS, Scene, draw_scene
from counterveil.lab.scenes.kinds import CATEGORY_KEYS, KINDS, Kind
from counterveil.lab.scenes.stage import SceneObject
from counterveil.lab.scenes.truth import Answer

__all__ = [
    "CATEGORY_KEYS",
    "KINDS",
    "SCENE_KINDS",
    "Answer",
    "Kind",
    "Scene",
    "SceneObject",
    "draw_scene",
]
