"""A value of a file that is the name of something registered, such as a kind of model provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from compozy.config.words import join_choices


class OneOf:
    """Accepts the keys of a registry; it stands in `Annotated`, where a closed choice has a `Literal`.

    The registry is read with each value, so that what is registered later is accepted as well.

    Args:
        registry: maps the accepted names to their records.
    """

    def __init__(self, registry: Mapping[str, object]) -> None:
        self._registry = registry

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": list(self._registry), "type": "string"}

    def _check(self, value: Any) -> str:
        if isinstance(value, str) and value in self._registry:
            return value
        expected = join_choices([repr(name) for name in self._registry])
        raise PydanticKnownError("literal_error", {"expected": expected})
