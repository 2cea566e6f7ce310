"""The OpenAPI document: the web page is built with that of the server, and its examples fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compozy.schema import validate_value
from compozy.server.examples import EXAMPLES
from tests.generated.openapi import make_document, write_document

FILE = Path(__file__).parents[2] / "web/openapi.json"


def test_the_page_knows_the_api() -> None:
    """After a change of a route or a model: `make schema`."""
    assert FILE.read_text(encoding="utf-8") == write_document()


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """Return the schemas of the document, with references among them."""
    text = json.dumps(make_document()["components"]["schemas"])
    return json.loads(text.replace("#/components/schemas/", "#/$defs/"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_fit_their_schema(schemas: dict[str, Any], name: str) -> None:
    assert schemas[name]["examples"] == [EXAMPLES[name]]
    assert validate_value({"$ref": f"#/$defs/{name}", "$defs": schemas}, EXAMPLES[name]) == []


def test_every_request_body_has_an_example() -> None:
    operations = [each for path in make_document()["paths"].values() for each in path.values()]
    bodies = json.dumps([operation["requestBody"] for operation in operations if "requestBody" in operation])
    names = {part.partition('"')[0] for part in bodies.split("#/components/schemas/")[1:]}
    assert names - set(EXAMPLES) == set()
    assert len(names) > 15
