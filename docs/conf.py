"""The site of the documentation (Sphinx): `make docs`.

Its pages are those of the repository, at their places, so that a link leads to the same page on both; the way
through them, which Sphinx wants in a page, is here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

project = html_title = "Sluicegate"
extensions = ["myst_parser"]
include_patterns = [
    "*.md", "docs/*.md", "docs/**/*.md", "deploy/**/*.md", "shared/sluicegate/store/LIFECYCLE.md",
]  # fmt: skip
root_doc = "README"
myst_heading_anchors = 4

html_theme = "furo"
html_logo = "../services/control/dashboard/static/icon.svg"
html_favicon = "../services/control/dashboard/static/icon.svg"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False

CONTENTS = {
    "The project": ["docs/README", "CHANGELOG", "CONTRIBUTING"],
    "Learn": ["docs/tutorial/*"],
    "Do": ["docs/how-to/*"],
    "Understand": ["docs/explanation/*", "shared/sluicegate/store/LIFECYCLE"],
    "Look up": ["docs/reference/*", "deploy/**"],
    "When an alert fires": ["docs/runbooks/README", "docs/runbooks/*"],
}


def add_contents(app: Any, page: str, text: list[str]) -> None:
    if page == app.config.root_doc:
        text[0] += "".join(
            f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
            for caption, pages in CONTENTS.items()
        )


def add_index(app: Any, failed: Exception | None) -> None:
    """Where a server looks first."""
    if failed is None and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app: Any) -> None:
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
    for unknown in ("mermaid", "promql"):  # the latter's lexer knows no recording rules
        app.add_lexer(unknown, TextLexer)
