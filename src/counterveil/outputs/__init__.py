"""Folder of results: veiled images, masks, records, the report, and what to go on with."""

from counterveil.outputs.folder import ResultFolder
from counterveil.outputs.saving import SavedExamination, save
from counterveil.outputs.tally import Tally

__all__ = ["ResultFolder", "SavedExamination", "Tally", "save"]
