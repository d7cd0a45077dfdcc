"""Settings of the documentation site: ``make docs`` writes it to ``out/site``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import api  # noqa: E402

project = "Counterveil"
author = "The Counterveil authors"
project_copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
exclude_patterns = ["**/.*"]

# Attributes of dataclasses are listed in the docstring; undocumented members are not repeated.
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_type_aliases = {name: name for name in api.TYPE_ALIASES}
napoleon_use_ivar = True
napoleon_numpy_docstring = False
# One class may be exported by two modules; both names lead to the same page.
suppress_warnings = ["ref.python"]

html_theme = "pydata_sphinx_theme"
html_title = "Counterveil"
html_show_sphinx = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}

SOURCE_LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)*src/(counterveil/[\w/]+)\.py#([\w.]+)\)")

PROJECT_LINK = re.compile(r"\]\((?:\.\./)+(SECURITY|CONTRIBUTING|CHANGELOG)\.md")


def _generate_api_pages(app: Sphinx, config: Config) -> None:
    """Write the pages of the API reference before Sphinx collects its source files."""
    pages = "\n".join(page.read_text("utf-8") for page in sorted(HERE.rglob("*.md")))
    targets = [f"{path.replace('/', '.')}.{name}" for _, path, name in SOURCE_LINK.findall(pages)]
    app.connect("source-read", _link_to_api(api.write_pages(HERE / "reference" / "api", targets)))


def _link_to_api(documented: Mapping[str, str]) -> Callable[[Sphinx, str, list[str]], None]:
    """Turn links to a function's source file into links to its entry in the API reference.

    The Markdown pages link to files, so that they can be read without the site.
    """

    def replace(match: re.Match[str]) -> str:
        text, path, name = match.groups()
        target = documented[f"{path.replace('/', '.')}.{name}"]
        return f"{{py:obj}}`{text.strip('`')} <{target}>`"

    def source_read(app: Sphinx, docname: str, source: list[str]) -> None:
        text = SOURCE_LINK.sub(replace, source[0])
        source[0] = PROJECT_LINK.sub(lambda match: f"](/{match[1].lower()}.md", text)

    return source_read


def setup(app: Sphinx) -> None:
    """Register the generator of the API pages."""
    app.connect("config-inited", _generate_api_pages)
