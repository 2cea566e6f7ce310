"""Writes every generated page, and the figures of the others: `python -m tests.generated.pages`."""

from __future__ import annotations

import sys

from compozy.template.reference import write_reference
from tests.bench.figures import FigureMissingError, read_figures
from tests.generated.pages import PAGES
from tests.generated.pages.figures import ROOT, write_documents
from tests.generated.pages.markdown import DOCS

if __name__ == "__main__":
    for name, write in {**PAGES, "workflows/template-functions": write_reference}.items():
        path = DOCS / f"{name}.mdx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(), encoding="utf-8")
    try:
        documents = write_documents(read_figures())
    except (FigureMissingError, ValueError) as error:
        sys.exit(f"The figures were not written: {error}")
    for page, text in documents.items():
        (ROOT / page).write_text(text, encoding="utf-8")
