"""`type: wait`: waits for a signal, or for a person who fills in a form."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from compozy.database.approvers import Approver
from compozy.task.kind import Inside, Task, TaskKind
from compozy.task.options import TaskBase, TaskId

_SIGNAL = frozenset({"signal", "processor"})


class WaitTask(TaskBase):
    """Waits for a signal, or for a person."""

    type: Literal["wait"] = Field(description="Kind of task.")
    wait_for: str = Field(min_length=1, description="Name of the signal; a template.")
    condition: str | None = Field(
        default=None, min_length=1, description="CEL, or a template; signals for which it is false are passed over."
    )
    form: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of the payload; makes it an approval, `compozy workflow approve`."
    )
    approver: Approver | None = Field(
        default=None, description="With `form`: `not_starter` accepts no answer of the user who started the run."
    )
    processor: Task | None = Field(default=None, description="A task that each signal is put through first.")
    on_timeout: TaskId | None = Field(default=None, description="Id of the task that follows when no signal came.")

    @model_validator(mode="after")
    def _check_approver(self) -> WaitTask:
        """Refuse `approver` where no person answers."""
        if self.approver is not None and self.form is None:
            raise ValueError("`approver` requires a `form`")
        return self


KIND = TaskKind(
    name="wait",
    model=WaitTask,
    runner="compozy.task.wait",
    page="/docs/workflows/wait-and-signal",
    inside=Inside(key="processor", roots=frozenset({"signal"})),
    condition="accepts",
    on_timeout="on_timeout",
    waits_for="wait_for",
    texts=(("wait_for",),),
    roots={("condition",): _SIGNAL, ("outputs",): _SIGNAL, ("on_success", "with"): _SIGNAL},
    schemas=("form",),
    shape=('[/"', '"/]'),
    dry_texts=(("wait_for",),),
)
