"""Records to one self-contained HTML page without scripts, which never holds an original image."""

from counterveil.report.page import Report
from counterveil.report.pictures import View, view

__all__ = ["Report", "View", "view"]
