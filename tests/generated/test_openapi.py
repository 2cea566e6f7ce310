"""The OpenAPI document that the web page is built with is that of the server."""

from __future__ import annotations

from pathlib import Path

from tests.generated.openapi import write_document

FILE = Path(__file__).parents[2] / "web/openapi.json"


def test_the_page_knows_the_api() -> None:
    """After a change of a route or a model: `make schema`."""
    assert FILE.read_text(encoding="utf-8") == write_document()
