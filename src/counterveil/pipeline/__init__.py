"""From one file to one record: assess, explain, mask, release, rationale, record."""

from counterveil.pipeline.components import CategoryClassifier, Components, NamedMethod
from counterveil.pipeline.examination import Examination
from counterveil.pipeline.pipeline import Pipeline

__all__ = ["CategoryClassifier", "Components", "Examination", "NamedMethod", "Pipeline"]
