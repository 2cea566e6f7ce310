"""Settings of every task type: input, transitions, retries and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from compozy.agent.budget import BudgetConfig
from compozy.config.duration import DurationS, TimeLimitS
from compozy.config.reference import SchemaOrId
from compozy.config.settings import Section

TASK_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"
# Ids in the `task` of a collection may be templates; everywhere else the project's checks refuse them.
ID_OR_TEMPLATE_PATTERN = r"^(?:[A-Za-z_]|\{\{[^{}]*\}\})(?:[A-Za-z0-9_-]|\{\{[^{}]*\}\}){0,127}$"
MAX_ATTEMPTS = 100
MAX_WORKERS = 1_000

Strategy = Literal["wait_all", "fail_fast", "best_effort", "race"]
"""When a container has succeeded, and when failed."""

TaskId = Annotated[str, Field(pattern=TASK_ID_PATTERN)]


class Transition(Section):
    """`on_success:` and `on_error:`, the next task."""

    next: TaskId | None = Field(default=None, description="Id of the task that follows; without it the run ends.")
    with_: dict[str, Any] | None = Field(
        default=None, alias="with", description="Input for the task that follows, laid over its own `with`; templates."
    )


class RetryPolicy(Section):
    """`retry_policy:`, the number of attempts of a task and the pauses between them."""

    initial_interval: DurationS = Field(default=1.0, description="Pause before the second attempt.")
    backoff_coefficient: float = Field(default=2.0, ge=1, le=10, description="By what each further pause grows.")
    maximum_interval: DurationS = Field(default=60.0, description="No pause is longer.")
    maximum_attempts: int = Field(default=3, ge=1, le=MAX_ATTEMPTS, description="Attempts in all, the first included.")
    non_retryable_error_types: tuple[str, ...] = Field(
        default=(), description="Codes of errors after which no attempt follows, such as `model`."
    )

    def pause_s(self, attempts: int) -> float:
        """Return how long to wait after `attempts` that failed."""
        # The power stops to grow where the maximum is reached anyway, before a float would overflow.
        return min(self.initial_interval * self.backoff_coefficient ** min(attempts - 1, 64), self.maximum_interval)


class RunOptions(Section):
    """`config:` of a project, a workflow or a task; the innermost value of each setting applies."""

    retry_policy: RetryPolicy | None = Field(default=None, description="How failed tasks are tried again.")
    on_error: Transition | None = Field(default=None, description="Next task after a failed task.")
    timeout: TimeLimitS | None = Field(default=None, description="Time for a task with all its attempts.")


class TaskBase(Section):
    """Keys of every task; each type adds its `type`."""

    if TYPE_CHECKING:
        # A string; each kind narrows it to its name, which a type checker allows of nothing else.
        type: Any

    id: str = Field(pattern=ID_OR_TEMPLATE_PATTERN, description="Name of the task, unique in its list.")
    description: str | None = Field(default=None, description="For people.")
    condition: str | None = Field(
        default=None,
        min_length=1,
        description="CEL, or a template; when it is false the task is skipped, and what follows a success follows.",
    )
    with_: dict[str, Any] | None = Field(default=None, alias="with", description="Input of the task; templates.")
    env: dict[str, str] | None = Field(default=None, description="Laid over the workflow's `env`; templates.")
    input: SchemaOrId | None = Field(default=None, description="JSON Schema of `with`; its defaults are filled in.")
    output: SchemaOrId | None = Field(default=None, description="JSON Schema of the result.")
    outputs: dict[str, Any] | None = Field(
        default=None, description="Result as templates, in which `.output` is the task's own result."
    )
    on_success: Transition | None = Field(default=None, description="Next task if the task succeeded.")
    on_error: Transition | None = Field(default=None, description="Next task if it failed or timed out.")
    final: bool = Field(default=False, description="Nothing follows when the task succeeded.")
    sleep: DurationS | None = Field(default=None, description="Pause between the end of the task and what follows.")
    timeout: TimeLimitS | None = Field(default=None, description="Time for the task with all its attempts.")
    retries: int | None = Field(
        default=None, ge=0, le=MAX_ATTEMPTS - 1, description="How often a failed task is tried again."
    )
    budget: BudgetConfig | None = Field(default=None, description="Limits of what the task may spend.")
    config: RunOptions | None = Field(default=None, description="Options of this task, over those of the workflow.")
