"""Records to self-contained HTML pages, which never hold an original image."""

from counterveil.report.page import Report
from counterveil.report.pictures import View, view

__all__ = ["Report", "View", "view"]
