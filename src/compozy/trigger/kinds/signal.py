"""`type: signal`: starts the workflow when an event of a name is sent to the server or by a task."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compozy.trigger.kind import TriggerBase, TriggerKind

MAX_NAME = 256


class SignalTrigger(TriggerBase):
    """Starts the workflow when an event is sent: over HTTP, by a command, or by a `signal` task of a workflow."""

    type: Literal["signal"] = Field(description="Kind of trigger.")
    name: str = Field(min_length=1, max_length=MAX_NAME, description="Name of the event.")
    schema_: dict[str, Any] | None = Field(
        default=None, alias="schema", description="JSON Schema of the payload, which becomes the input of the run."
    )


KIND = TriggerKind(name="signal", model=SignalTrigger, page="/docs/guides/events", schemas=(("schema",),))
