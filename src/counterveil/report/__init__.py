"""Records in, one page out: self-contained, scriptless, safe to open; never the original."""

from counterveil.report.page import Report, html, write
from counterveil.report.pictures import view
from counterveil.report.view import View

__all__ = ["Report", "View", "html", "view", "write"]
