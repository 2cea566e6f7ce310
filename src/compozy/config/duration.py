"""A duration as a field of a model. It is apart from `timespan`, which commands use that load no models."""

from __future__ import annotations

from typing import Annotated, Any

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


def _parse_time_limit_s(value: Any) -> float:
    seconds = parse_duration_s(value)
    if seconds == 0:
        raise ValueError("a time limit is longer than 0s; leave it out for none")
    return seconds


TimeLimitS = Annotated[
    float,
    BeforeValidator(_parse_time_limit_s),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["30s", "1h30m"]}, {"type": "number", "exclusiveMinimum": 0}]},
        mode="validation",
    ),
]
