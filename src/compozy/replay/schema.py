"""JSON Schema of test files, for editors."""

from __future__ import annotations

from typing import Any

from compozy.project.jsonschema import schema_of
from compozy.replay.config import TestFile

TEST_SCHEMA_NAME = "test.schema.json"


def test_schema() -> dict[str, Any]:
    """Return the schema of a file of tests."""
    return schema_of(TestFile, "Compozy tests")
