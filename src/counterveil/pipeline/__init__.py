"""The one place where the stages meet: image in, veiled image and record out."""

from counterveil.pipeline.examine import Counterveil, Examination
from counterveil.pipeline.parts import Methods, Named, Settings, Watch

__all__ = ["Counterveil", "Examination", "Methods", "Named", "Settings", "Watch"]
