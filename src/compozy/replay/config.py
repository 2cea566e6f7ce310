"""`tests/*.test.yaml`: tests of a workflow as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from compozy.config.one_or_more import OneOrMore
from compozy.config.settings import Section
from compozy.database.status import Status
from compozy.expression import check, check_condition
from compozy.memory.config import Role

SKIPPED = "skipped"
"""Status of a task that did not run."""
_ENDS = tuple(status.value for status in (Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED))
RunStatus = Literal["SUCCESS", "FAILED", "TIMED_OUT", "CANCELED"]
TaskStatus = Literal["SUCCESS", "FAILED", "TIMED_OUT", "CANCELED", "skipped"]


def _read_moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a time like 2026-01-31T12:00:00Z") from None
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)


MomentMs = Annotated[
    int, BeforeValidator(_read_moment), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]


@dataclass(frozen=True)
class Or:
    """A value that can also be written in a form that `schema` describes."""

    schema: dict[str, Any]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms."""
        return {"anyOf": [self.schema, handler(core)]}


class TestSignal(Section):
    """A signal that the test sends when a task waits for it."""

    at: str | None = Field(default=None, min_length=1, description="Path of the task that waits. Default: any.")
    name: str | None = Field(default=None, min_length=1, description="Name of the signal. Default: that of the task.")
    payload: JsonValue = Field(default=None, description="Payload, or the answer to a form.")

    @model_validator(mode="after")
    def _check_target(self) -> TestSignal:
        if self.at is None and self.name is None:
            raise ValueError("a signal needs `at`, the task that waits, or `name`")
        return self


class ApprovalAnswer(Section):
    """The answer of a person to a tool call that needs an approval."""

    approve: bool = Field(description="Whether the call starts.")
    reason: str | None = Field(default=None, description="Reason of a refusal; the agent reads it.")
    arguments: dict[str, JsonValue] | None = Field(default=None, description="Other arguments to call the tool with.")


def _read_answer(value: Any) -> Any:
    return {"approve": value == "approve"} if isinstance(value, str) and value in {"approve", "deny"} else value


Approval = Annotated[ApprovalAnswer, BeforeValidator(_read_answer), Or({"enum": ["approve", "deny"]})]


class ToolStub(Section):
    """The result of a tool that is not called."""

    result: JsonValue = Field(default=None, description="Result of the call.")
    error: str | None = Field(default=None, description="Error message instead of a result.")


class StubbedTask(Section):
    """The result of a task that is not run."""

    output: JsonValue = Field(default=None, description="Output of the task.")
    error: str | None = Field(default=None, description="Error message; the task fails.")


class StoredMessage(Section):
    """A message of a conversation that exists before the run."""

    role: Role = Field(default="user", description="Role of the message.")
    content: str = Field(min_length=1, description="Text of the message.")


class StoredConversation(Section):
    """A conversation that exists before the run."""

    memory: str = Field(min_length=1, description="ID of the memory.")
    key: str = Field(min_length=1, description="Key of the conversation.")
    messages: tuple[StoredMessage, ...] = Field(min_length=1, max_length=1000, description="Messages in order.")


ToolStubs = Annotated[tuple[ToolStub, ...], OneOrMore(), Field(min_length=1)]


class Stubs(Section):
    """Tools and tasks that are replaced."""

    tools: dict[str, ToolStubs] = Field(
        default_factory=dict[str, Any],
        description="Results by tool ID. A list gives each call its own result, and the last one to all further calls.",
    )
    tasks: dict[str, StubbedTask] = Field(
        default_factory=dict[str, StubbedTask], description="Results by the path of the task."
    )


class TaskExpectation(Section):
    """The expected state of one task."""

    status: TaskStatus | None = Field(default=None, description="Status; `skipped` if the task must not run.")
    output: JsonValue = Field(default=None, description="A part of the output.")
    input: JsonValue = Field(default=None, description="A part of the input.")
    error: str | None = Field(default=None, description="A part of the error message, or the code of the error.")
    attempts: int | None = Field(default=None, ge=0, description="Number of attempts.")
    route: str | None = Field(default=None, description="ID of the task that a router chose.")


def _read_task(value: Any) -> Any:
    return {"status": value} if isinstance(value, str) else value


ExpectedTask = Annotated[TaskExpectation, BeforeValidator(_read_task), Or({"enum": list(get_args(TaskStatus))})]


class ToolCallExpectation(Section):
    """Calls of a tool that are expected."""

    tool: str = Field(min_length=1, description="ID of the tool.")
    task: str | None = Field(default=None, description="Path of the task that calls it. Default: any.")
    input: dict[str, JsonValue] | None = Field(default=None, description="A part of the arguments.")
    outcome: Literal["ok", "failed", "denied", "unknown"] | None = Field(default=None, description="Outcome.")
    times: int | None = Field(default=None, ge=0, description="Number of such calls. Default: at least one.")


class Expectation(Section):
    """The expected end of the run."""

    status: RunStatus | None = Field(default=None, description="Status of the run. Default: `SUCCESS`.")
    output: JsonValue = Field(default=None, description="A part of the output: maps may have more keys.")
    exactly: JsonValue = Field(default=None, description="The whole output.")
    error: str | None = Field(default=None, description="A part of the error message, or the code of the error.")
    tasks: dict[str, ExpectedTask] = Field(
        default_factory=dict[str, TaskExpectation], description="Tasks by their paths: a status, or a map."
    )
    tool_calls: tuple[ToolCallExpectation, ...] | None = Field(default=None, description="Tool calls of the run.")
    order: Literal["any", "strict"] = Field(
        default="any", description="`strict`: `tool_calls` are all calls of the run, in this order."
    )
    that: Annotated[tuple[str, ...], OneOrMore()] = Field(default=(), description="CEL conditions about the run.")

    @field_validator("that", mode="before")
    @classmethod
    def _check_conditions(cls, value: Any) -> Any:
        if not isinstance(value, (str, list)):
            return value
        texts: tuple[Any, ...] = (value,) if isinstance(value, str) else tuple(cast("list[Any]", value))
        for text in texts:
            problems = check_condition(text) if isinstance(text, str) else []
            if problems:
                raise ValueError(f"{text!r}: {problems[0].message}")
        return texts

    @property
    def is_empty(self) -> bool:
        """Whether nothing is expected."""
        return not self.model_fields_set - {"order"}


class TestCase(Section):
    """One test: a run, and what is expected of it."""

    name: str = Field(min_length=1, max_length=200, description="Name of the test, unique in its file.")
    workflow: str | None = Field(default=None, min_length=1, description="Workflow ID. Default: that of the file.")
    input: JsonValue = Field(default=None, description="Input of the run.")
    now: MomentMs | None = Field(default=None, description="Time at the start of the run.")
    signals: tuple[TestSignal, ...] = Field(default=(), description="Signals and answers to forms, in order.")
    approvals: dict[str, Approval] = Field(
        default_factory=dict[str, ApprovalAnswer],
        description="Answers to calls that need an approval, by tool ID or by the path of the task that waits: "
        "`approve`, `deny`, or a map. A budget question can only be denied.",
    )
    conversations: tuple[StoredConversation, ...] = Field(
        default=(), description="Conversations of memories that exist before the run."
    )
    stub: Stubs = Field(default=Stubs(), description="Tools and tasks that are replaced.")
    expect: Expectation = Field(description="The expected end of the run.")


class Judge(Section):
    """An agent that scores outputs."""

    agent: str = Field(min_length=1, description="ID of a shared agent.")
    prompt: str = Field(min_length=1, description="Criteria of a good output. The agent also reads input and output.")


class EvaluationCase(Section):
    """One row of the table of inputs."""

    input: JsonValue = Field(default=None, description="Input of the run.")
    expected: JsonValue = Field(default=None, description="A good result, for the score.")


class Evaluation(Section):
    """Measures the quality of a workflow with the real models and tools."""

    name: str = Field(min_length=1, max_length=200, description="Name of the evaluation, unique in its file.")
    workflow: str | None = Field(default=None, min_length=1, description="Workflow ID. Default: that of the file.")
    cases: tuple[EvaluationCase, ...] = Field(min_length=1, max_length=1000, description="The inputs.")
    score: str | None = Field(
        default=None,
        min_length=1,
        description="CEL expression that gives a number from 0 to 1, or true or false.",
    )
    judge: Judge | None = Field(default=None, description="An agent that gives the score, in place of `score`.")
    threshold: float = Field(ge=0, le=1, description="Lowest mean of all scores with which the evaluation passes.")
    approvals: dict[str, Approval] = Field(
        default_factory=dict[str, ApprovalAnswer], description="As in a test, for every case."
    )
    stub: Stubs = Field(default=Stubs(), description="As in a test, for every case.")

    @field_validator("score")
    @classmethod
    def _check_score(cls, value: str | None) -> str | None:
        problems = [] if value is None else check(value)
        if problems:
            raise ValueError(f"{value!r}: {problems[0].message}")
        return value

    @model_validator(mode="after")
    def _check_way(self) -> Evaluation:
        if (self.score is None) == (self.judge is None):
            raise ValueError("an evaluation needs either `score` or `judge`")
        return self


class TestFile(Section):
    """A file of tests."""

    workflow: str | None = Field(default=None, min_length=1, description="Workflow ID of the tests.")
    cassette: str | None = Field(
        default=None, min_length=1, description="File with the recorded answers, next to this one."
    )
    now: MomentMs | None = Field(default=None, description="Time at the start of each run. Default: when recorded.")
    tests: tuple[TestCase, ...] = Field(default=(), description="The tests.")
    evaluate: tuple[Evaluation, ...] = Field(default=(), description="Evaluations, which only `--mode record` runs.")

    @model_validator(mode="after")
    def _check_content(self) -> TestFile:
        if not self.tests and not self.evaluate:
            raise ValueError("a test file needs `tests` or `evaluate`")
        return self
