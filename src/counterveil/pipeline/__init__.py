"""The one place where the stages meet: image in, veiled image and record out."""

from counterveil.pipeline.components import CategoryClassifier, Components, Named, Settings
from counterveil.pipeline.examine import Examination, Pipeline

__all__ = ["CategoryClassifier", "Components", "Examination", "Named", "Pipeline", "Settings"]
