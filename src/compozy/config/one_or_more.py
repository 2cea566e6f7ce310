"""A list in a file that can be written as its one item."""

from __future__ import annotations

from typing import Any, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class OneOrMore:
    """Stands in `Annotated` with a tuple: reads one item as a list of one, and describes both forms."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the tuple behind a step that reads one item as a list."""
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms."""
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


def _as_list(value: Any) -> Any:
    if isinstance(value, (dict, str)):
        return (cast("Any", value),)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
