"""`type: signal`: a signal to runs that wait for it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compozy.config.settings import Section
from compozy.task.kind import TaskKind
from compozy.task.options import TaskBase


class SignalConfig(Section):
    """`signal:`, the signal to send."""

    id: str = Field(min_length=1, description="Name of the signal; a template.")
    payload: Any = Field(default=None, description="Payload of the signal; templates.")
    execution: str | None = Field(
        default=None, min_length=1, description="The one run that it is for; a template. Without it, all that wait."
    )


class SignalTask(TaskBase):
    """Sends a signal to runs that wait for it."""

    type: Literal["signal"] = Field(description="Kind of task.")
    signal: SignalConfig = Field(description="Signal to send.")


KIND = TaskKind(
    name="signal",
    model=SignalTask,
    runner="compozy.task.signal",
    page="/docs/workflows/wait-and-signal",
    texts=(("signal",),),
    shape=('>"', '"]'),
    dry_values=("signal",),
)
