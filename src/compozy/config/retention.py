"""`retention:`, the ages at which servers delete runs that ended."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from compozy.config.section import Section
from compozy.config.timespan import parse_duration_s

# Shorter, a client could find its run deleted before it has read the result.
MIN_AGE_S = 60.0


def _parse_age_s(value: Any) -> float:
    seconds = parse_duration_s(value)
    if seconds < MIN_AGE_S:
        raise ValueError("an age is at least 1m; leave it out to delete nothing")
    return seconds


AgeS = Annotated[
    float,
    BeforeValidator(_parse_age_s),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["30d", "12h"]}, {"type": "number", "minimum": MIN_AGE_S}]},
        mode="validation",
    ),
]


class RetentionSettings(Section):
    """`retention:`, ages at which servers delete runs, counted from their end. Unfinished runs are never deleted."""

    succeeded: AgeS | None = Field(
        default=None, description="Age at which successful runs are deleted. Default: they are kept."
    )
    failed: AgeS | None = Field(
        default=None,
        description="Age at which failed, canceled and timed-out runs are deleted. Default: they are kept.",
    )
    events: AgeS | None = Field(
        default=None,
        description="Age at which the event logs of ended runs are deleted. Default: the age of their runs.",
    )

    @property
    def is_set(self) -> bool:
        """Whether anything is deleted."""
        return any(age is not None for age in (self.succeeded, self.failed, self.events))
