"""A duration as a field of a model. It is apart from `timespan`, which commands use that load no models."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from compozy.config.timespan import parse_duration_s

DurationS = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["30s", "1h30m"]}, {"type": "number", "minimum": 0}]},
        mode="validation",
    ),
]
