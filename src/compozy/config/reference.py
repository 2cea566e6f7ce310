"""Marks a field whose value can be written as the ID of a shared resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class OrId:
    """In `Annotated`: editors accept an ID instead of the value itself.

    IDs are replaced by what they name before a file is validated (`compozy.project.link`), so the validation knows
    nothing of them.

    Args:
        of: what the ID names, for people.
    """

    of: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of an ID or of the value itself."""
        value: dict[str, Any] = handler(schema)
        return {"anyOf": [{"type": "string", "description": self.described}, value]}

    @property
    def described(self) -> str:
        """Description of the text, for people."""
        return f"ID of {self.of}."


class OrPath(OrId):
    """The same for a field whose value can be written as a path."""

    @property
    def described(self) -> str:
        """Description of the text, for people."""
        return f"Path of {self.of}."


SchemaOrId = Annotated[dict[str, Any], OrId("a shared schema")]
"""A JSON Schema, or the ID of one."""
