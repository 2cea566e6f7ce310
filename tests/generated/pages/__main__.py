"""Writes every generated page: `python -m tests.generated.pages`."""

from __future__ import annotations

from compozy.template.reference import write_reference
from tests.generated.pages import PAGES
from tests.generated.pages.markdown import DOCS

if __name__ == "__main__":
    for name, write in {**PAGES, "workflows/template-functions": write_reference}.items():
        path = DOCS / f"{name}.mdx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(), encoding="utf-8")
