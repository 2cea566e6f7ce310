"""Bodies of requests, which are checked by these models, and of answers, which are described by them in the OpenAPI."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from compozy.config.timespan import MAX_DURATION_S
from compozy.database.status import Status
from compozy.database.trigger import LABEL_NAME_PATTERN, MAX_LABEL_VALUE, MAX_LABELS

MAX_SYNC_S = 300.0

# A schema with a name: generated clients have one type for all labels.
Labels = TypeAliasType(
    "Labels",
    Annotated[
        dict[str, str],
        Field(
            description="Labels of the execution, by which lists are filtered.",
            json_schema_extra={
                "maxProperties": MAX_LABELS,
                "propertyNames": {"pattern": LABEL_NAME_PATTERN},
                "additionalProperties": {"type": "string", "maxLength": MAX_LABEL_VALUE},
            },
        ),
    ],
)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Start(_Request):
    input: Any = Field(default=None, description="Input of the workflow; it must match the workflow's schema.")
    execution_id: str | None = Field(
        default=None,
        description="Execution ID; a repeated request with it does not run again.",
        # Described here, and checked with the words of the command line.
        json_schema_extra={"anyOf": [{"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}, {"type": "null"}]},
    )


class _LabeledStart(_Start):
    labels: Labels | None = None


class StartBody(_LabeledStart):
    """A run to be started. `timeout` counts from now; then the run ends as TIMED_OUT."""

    timeout: float | None = Field(
        default=None, gt=0, le=MAX_DURATION_S, description="Seconds after which the run times out."
    )


class StartSyncBody(_LabeledStart):
    """A run to be started and waited for. `timeout` ends the waiting, not the run."""

    timeout: float = Field(default=60.0, gt=0, le=MAX_SYNC_S, description="Seconds to wait for the end of the run.")


class CancelBody(_Request):
    """The reason for canceling a run."""

    reason: str = Field(
        default="canceled by a request",
        min_length=1,
        max_length=200,
        description="Error message of the run.",
    )


class SignalBody(_Request):
    """A signal to an execution."""

    name: str = Field(min_length=1, max_length=256, description="Name of the signal.")
    payload: Any = Field(default=None, description="Payload of the signal.")
    id: str | None = Field(
        default=None, min_length=1, max_length=256, description="Signal ID; a signal that is sent twice counts once."
    )


class ApproveBody(_Request):
    """The answer to the form that a task waits with."""

    input: Any = Field(default=None, description="The answer; it must match the form.")
    task: str | None = Field(default=None, description="ID or path of the task, required if several are waiting.")


class RerunBody(_LabeledStart):
    """Tasks of an execution to repeat, and the input; without one, the original input."""

    from_: str | None = Field(
        default=None,
        alias="from",
        description="Task to start with; earlier results are kept. Default: the task that failed.",
    )


class DatabaseInfo(BaseModel):
    """The database of a server, without its location."""

    driver: str
    fingerprint: str = Field(description="Identifies the database without its location.")


class ProjectInfo(BaseModel):
    """The project that a server runs."""

    name: str
    version: str | None = Field(description="Version of the project.")
    compozy_version: str
    files_changed: bool = Field(description="Whether its files changed since the server read them.")
    database: DatabaseInfo


class ChatInfo(BaseModel):
    """How to talk to a workflow that remembers a conversation."""

    message: str | None = Field(description="Value of the input that is the message; null if several could be.")
    key: str | None = Field(description="Value that the key of the memory is made of; null for none or several.")
    task: str = Field(description="ID of the task that answers.")


class WorkflowInfo(BaseModel):
    """A workflow of the project."""

    id: str
    name: str | None
    description: str | None
    file: str = Field(description="Its path in the project's folder.")
    tasks: list[str] = Field(description="IDs of its tasks, in order.")
    chat: ChatInfo | None = Field(description="Null if none of its tasks asks a model with a memory.")


class WorkflowDetail(WorkflowInfo):
    """A workflow with the schema of its input."""

    input_schema: dict[str, Any] | None = Field(description="JSON Schema of the input; null accepts any object.")


class GraphNode(BaseModel):
    """A task in the graph of a workflow or an execution."""

    path: str
    task_id: str
    parent: str | None = Field(description="Path of its container.")
    type: str
    status: Status | None = Field(description="Null if the task did not start.")
    attempts: int


class GraphEdge(BaseModel):
    """A transition in the graph of a workflow or an execution."""

    source: str | None = Field(description="Path of a task; null for any task that fails.")
    target: str = Field(description="Path of the task that follows.")
    label: str = Field(description="The route or condition, empty after success.")
    on_failure: bool


class WorkflowGraph(BaseModel):
    """The drawings of a workflow."""

    id: str
    mermaid: str = Field(description="A Mermaid flowchart.")
    text: str = Field(description="A tree of lines for a terminal.")
    ascii: str = Field(description="The tree in ASCII characters.")
    nodes: list[GraphNode] = Field(description="Its tasks, without states.")
    edges: list[GraphEdge] = Field(description="The transitions between its tasks.")


class WorkflowList(BaseModel):
    """All workflows of the project."""

    workflows: list[WorkflowInfo]


class ErrorInfo(BaseModel):
    """The error of a run or task."""

    code: str
    message: str
    details: dict[str, Any]


_Time = Annotated[str | None, Field(description="RFC 3339 in UTC with milliseconds.")]


Cost = Annotated[
    float | None,
    Field(description="Dollars for model requests; null if none was made, or the price of none is known."),
]
UnpricedRequests = Annotated[
    int, Field(description="Model requests whose price is not known; `cost` does not contain them.")
]


class _Timed(BaseModel):
    status: Status
    input: Any
    output: Any
    error: ErrorInfo | None
    usage: list[dict[str, Any]] = Field(description="Tokens, requests and costs by provider and model.")
    cost: Cost
    unpriced_requests: UnpricedRequests
    created_at: _Time
    started_at: _Time
    finished_at: _Time


class TaskInfo(_Timed):
    """One task of an execution."""

    task_id: str
    path: str = Field(description="Its path in the execution, such as `load/fetch-2`.")
    parent: str | None = Field(description="Path of its container.")
    type: str
    attempts: int
    waits_for: str | None = Field(description="Name of the signal that it waits for.")
    signal_arrived: bool = Field(
        description="Whether the signal has arrived; the task takes it next, or is processing it."
    )
    answered_by: str | None = Field(description="User or API key that sent the last signal which the task took.")


class TriggerInfo(BaseModel):
    """The trigger of an execution, and who started it."""

    type: str = Field(
        description="`api`, `cli`, `mcp`, `schedule`, `webhook`, `event`, `rerun`, `batch`, `run` or `server`."
    )
    id: str | None = Field(description="ID of the schedule, webhook, event or execution.")
    by: str | None = Field(description="User or API key.")


class Fields(StrEnum):
    """The fields of executions in an answer."""

    SUMMARY = "summary"
    FULL = "full"


class ExecutionInfo(_Timed):
    """One execution."""

    execution_id: str
    workflow_id: str
    journal_format: int = Field(description="Format of its journal; only runs of the current format can be continued.")
    requested: Status | None = Field(description="Requested state that the run has not reached yet.")
    rerun_of: str | None = Field(description="The execution that it repeats.")
    origin: dict[str, Any] | None = Field(description="Origin of a run that was imported unfinished.")
    trigger: TriggerInfo | None = Field(description="Trigger; null if an earlier version accepted the execution.")
    labels: Labels


class RateInfo(BaseModel):
    """How many executions of the workflow begin within a period."""

    limit: int
    period_s: float


class LimitsInfo(BaseModel):
    """The limits of an execution, and what it waits for."""

    key: str | None = Field(description="Executions of the workflow with the same key share the limit; null for all.")
    concurrency: int | None = Field(description="Executions that are open at the same time.")
    rate: RateInfo | None = Field(description="Rate of the workflow.")
    waiting_since: str | None = Field(description="Since when the execution waits for a place; null if it has one.")
    holders: list[str] = Field(description="Executions that have the places for which it waits, at most 10.")


class ExecutionDetail(ExecutionInfo):
    """One execution with its tasks."""

    queue: str = Field(description="Queue; processes that do not serve it do not execute the run.")
    priority: int = Field(description="Executions with a higher priority are started first, within their queue.")
    limits: LimitsInfo | None = Field(description="Limits of the workflow; null if it has none.")
    warnings: list[str] = Field(description="Keys of the input that the workflow's schema does not list.")
    fallbacks: list[dict[str, Any]] = Field(
        description="Providers that answered instead of another one, with the reason."
    )
    tasks: list[TaskInfo]


class ToolCallInfo(BaseModel):
    """One tool call with its result."""

    tool: str
    arguments: Any = Field(description="Arguments of the call.")
    outcome: str | None = Field(
        description="`ok`, `failed`, `unknown` or `denied`; null if the call was refused before it started."
    )
    result: Any = Field(description="Result that the model received.")
    duration_ms: int | None


class ModelRequestInfo(BaseModel):
    """One request to a model, and its answer."""

    path: str = Field(description="Path of the task.")
    number: int = Field(description="Number of the request among those of its task, from 1.")
    provider: str | None
    model: str | None
    instructions: str | None = Field(description="Instructions of the agent.")
    prompt: str | None = Field(description="Prompt of the task. Later requests also hold the answers before them.")
    answer: str | None = Field(description="Text of the answer, null if the request failed.")
    tool_calls: list[ToolCallInfo]
    finish_reason: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = Field(description="Of the input, tokens read from the provider's prompt cache.")
    cache_write_tokens: int = Field(description="Of the input, tokens written to the provider's prompt cache.")
    cost: float | None = Field(description="Dollars; null if the price is not known.")
    price: str | None = Field(
        description="Source of the price: `price` for the provider's own, or the name and version of a list."
    )
    error: dict[str, Any] | None = Field(description="Error of the failed request.")


class ModelRequestList(BaseModel):
    """The recorded model requests of one execution."""

    requests: list[ModelRequestInfo]


class SignalSent(BaseModel):
    """A signal that an execution received."""

    signal_id: str
    execution_id: str
    name: str
    is_new: bool = Field(description="False if the same signal was sent before.")
    by: str | None = Field(description="The user or the API key that sent it; null if it is not known.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable name of the error.")
    hint: str | None = Field(default=None, description="How to solve it.")
    command_hint: str | None = Field(default=None, description="The hint for the command line, if it differs.")
    details: dict[str, Any] | None = None


class Health(BaseModel):
    """Whether the server is running or ready."""

    status: str
