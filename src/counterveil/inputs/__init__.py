"""Files, folders, globs and lists of paths become the inputs of a run."""

from __future__ import annotations

from counterveil.inputs.find import FoundInputs, Input, find_inputs, read_paths
from counterveil.inputs.search import Skipped

__all__ = ["FoundInputs", "Input", "Skipped", "find_inputs", "read_paths"]
