"""Runs of workflows in this process, on any database, with a model that is controlled by its prompts."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from compozy.agent.budget import BudgetConfig
from compozy.config.nodes import MappingNode, to_value
from compozy.config.parse import parse_yaml
from compozy.database.database import Database
from compozy.database.events import Event, list_events
from compozy.database.executions import Execution, get_execution
from compozy.database.signals import Signal, send_signal
from compozy.database.status import Status
from compozy.database.tasks import TaskEnd, TaskState, list_tasks
from compozy.database.transitions import request_pause, resume_run
from compozy.durable.context import RunContext, Suspension, current_run
from compozy.durable.runtime import Runtime
from compozy.errors import DatabaseError, ModelError
from compozy.ids import new_signal_id
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.model.catalog import ModelCatalog, ResolvedModel
from compozy.model.price import PriceConfig
from compozy.project.check_templates import check_templates
from compozy.project.check_workflows import check_workflows
from compozy.project.outline import ProjectOutline, WorkflowOutline, task_list_of
from compozy.tool.kind import ToolHome
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.execute import WorkflowExecutor
from compozy.workflow.start import prepare_run, start_run
from tests.harness.databases import journal_table

Document = dict[str, Any]
_ORDER = re.compile(r"(?P<verb>fail|hang|slow|json|cut|tools)(?: (?P<number>[\d.]+))?: (?P<rest>.*)", re.DOTALL)
# Longer than any test lasts.
_LONG_S = 600.0


class Answers(ModelCatalog):
    """A model that answers `re: PROMPT`, unless the prompt is an instruction.

    | prompt | answer |
    |---|---|
    | `fail: x` | an error; with `fail 2: x` only the first two times |
    | `hang: x` | nothing, until it is canceled |
    | `slow 0.2: x` | after 0.2 s |
    | `json: {...}` | the JSON |
    | `cut: x` | `re: cut: x`, ended by the limit of tokens |
    | `tools: [[{tool: ..., arguments: ...}]]` | the calls of each round, a JSON list, then their results as JSON |

    Attributes:
        asked: every prompt that came, in order.
        answered: those that an answer was given to.
        offered: names of the tools of each request.
        price: of its tokens; None for a model whose price is not known.
        hung_up: those whose request was canceled.
    """

    def __init__(self) -> None:
        self.is_loaded = True
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.hung_up: list[str] = []
        self.offered: list[list[str]] = []
        self.choices: list[Any] = []
        self.price: PriceConfig | None = None
        self._function = FunctionModel(self._reply, model_name="m")

    def load(self) -> None:
        """Load nothing."""

    def resolve(self, llm: str | None, model: str | None) -> ResolvedModel:
        """Return the model."""
        return ResolvedModel(
            model=self._function, provider_id=llm or "p", provider_type="scripted", model_name="m", price=self.price
        )

    async def _reply(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        prompt = _prompt_of(messages)
        self.asked.append(prompt)
        self.offered.append([tool.name for tool in info.function_tools])
        self.choices.append((info.model_settings or {}).get("tool_choice"))
        if prompt.startswith("tools: ") and self.choices[-1] != "none":
            rounds = sum(isinstance(message, ModelResponse) for message in messages)
            wanted: list[list[dict[str, Any]]] = json.loads(prompt.removeprefix("tools: "))
            if rounds < len(wanted):
                self.answered.append(prompt)
                return _calling(wanted[rounds], rounds)
            self.answered.append(prompt)
            return ModelResponse(parts=[TextPart(json.dumps(_results_in(messages)))], finish_reason="stop")
        try:
            text = await self._answer(prompt)
        except asyncio.CancelledError:
            self.hung_up.append(prompt)
            raise
        self.answered.append(prompt)
        usage = RequestUsage(input_tokens=2, output_tokens=1)
        reason: FinishReason = "length" if prompt.startswith("cut: ") else "stop"
        return ModelResponse(parts=[TextPart(text)], usage=usage, finish_reason=reason)

    async def _answer(self, prompt: str) -> str:
        order = _ORDER.fullmatch(prompt)
        verb, number = (order["verb"], order["number"]) if order else ("", None)
        if verb == "fail" and (number is None or self.asked.count(prompt) <= int(number)):
            raise ModelError(f"no answer to {prompt!r}")
        if verb == "hang":
            await asyncio.sleep(_LONG_S)
        if verb == "slow":
            await asyncio.sleep(float(number or 0))
        return order["rest"] if order and verb == "json" else f"re: {prompt}"


@dataclass(kw_only=True)
class Watch:
    """Receives the progress of a run. With `cut_at`, it pauses the run after that many events, or at this event.

    `on_count`: a number of events, and a function that is called after them.
    """

    cut_at: int | str | None = None
    on_count: tuple[int, Callable[[], None]] | None = None
    told: list[str] = field(default_factory=list[str])
    database: Database | None = None

    def task_began(self, execution_id: str, path: str) -> None:
        """Note it."""
        self._note(f"{path} began")

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        """Note it."""
        self._note(f"{path} waits for {signal}")

    def budget_spent(self, execution_id: str, path: str, text: str, option: str) -> None:
        """Note it."""
        self._note(f"{path} asks for {option}")

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        """Note it."""
        self._note(f"{path} {'was' if replayed else 'ended'} {end.status.value}")

    def _note(self, words: str) -> None:
        self.told.append(words)
        if self.cut_at in {len(self.told), words}:
            self._halt(current_run())
        if self.on_count is not None and len(self.told) == self.on_count[0]:
            self.on_count[1]()

    def _halt(self, run: RunContext) -> None:
        """Request a pause that takes effect immediately."""
        assert self.database is not None
        with self.database.write() as connection:
            request_pause(connection, run.run_id)
        run.suspend(Suspension.PAUSE)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run as it is stored."""

    run: Execution
    tasks: dict[str, TaskState]
    steps: list[str]
    events: list[Event]

    @property
    def status(self) -> Status:
        """Return the state of the run."""
        return self.run.status

    @property
    def output(self) -> Any:
        """Return the output of the run."""
        return self.run.output

    @property
    def states(self) -> dict[str, str]:
        """Return the states of its tasks by path, in the order in which they were stored."""
        return {path: task.status.value for path, task in self.tasks.items()}

    @property
    def message(self) -> str:
        """Return the error message of the run."""
        return (self.run.error or {}).get("message", "")


class Flows:
    """Runs workflows on `database`."""

    def __init__(
        self, database: Database, runtime: Runtime, answers: Answers, watch: Watch, root: Path = Path()
    ) -> None:
        self.root = root
        self.database = database
        self.runtime = runtime
        self.answers = answers
        self.watch = watch

    async def start(self, workflow: str | Document, given: Any = None, **more: Any) -> str:
        """Accept a run of `workflow`, YAML or a document, and return its ID."""
        document = read_workflow(workflow, self.root) if isinstance(workflow, str) else workflow
        config = WorkflowConfig.model_validate({"id": "w", **document})
        definition = {"workflow": config.model_dump(mode="json", by_alias=True, exclude_unset=True)}
        new = prepare_run(config, definition, given, **more)
        assert await start_run(self.runtime, config, new)
        return new.workflow_exec_id

    async def run(self, workflow: str | Document, given: Any = None, **more: Any) -> Ran:
        """Run a workflow to its end."""
        return await self.ended(await self.start(workflow, given, **more))

    async def ended(self, run_id: str) -> Ran:
        """Wait for the end of a run, which any process may execute."""
        # Without queries, unless another process executes it.
        with suppress(DatabaseError):
            # It is tried again.
            await self.runtime.wait(run_id)
        await self.until(run_id, lambda ran: ran.status.is_final)
        await self.runtime.wait(run_id)
        return await self.read(run_id)

    async def until(self, run_id: str, is_so: Callable[[Ran], bool], *, limit_s: float = 120) -> Ran:
        """Wait until a run is in this state."""
        pause_s = 0.005
        async with asyncio.timeout(limit_s):
            started_s = time.monotonic()
            while not is_so(ran := await self.read(run_id)):
                # Most of the processor time is for the run, also on a busy machine.
                await asyncio.sleep(max(pause_s, 2 * (time.monotonic() - started_s)))
                pause_s = min(pause_s * 1.3, 0.1)
                started_s = time.monotonic()
        return ran

    async def until_waiting(self, run_id: str, *paths: str) -> Ran:
        """Wait until the tasks at `paths` wait for their signals."""
        return await self.until(run_id, lambda ran: all(ran.states.get(path) == "WAITING" for path in paths))

    async def read(self, run_id: str) -> Ran:
        """Return a run as it is stored now."""
        return await self.database.read_async(partial(read_run, self.database, run_id))

    async def signal(self, run_id: str, name: str, payload: Any = None) -> None:
        """Send a signal to a run."""
        signal = Signal(signal_id=new_signal_id(), workflow_exec_id=run_id, name=name, payload=payload)
        await self.database.write_async(partial(send_signal, signal=signal))
        self.runtime.wake()

    async def resume(self, run_id: str) -> None:
        """Resume a paused run."""
        await self.database.write_async(partial(resume_run, workflow_exec_id=run_id))
        self.runtime.wake()


@asynccontextmanager
async def flowing(
    database: Database,
    *,
    answers: Answers | None = None,
    watch: Watch | None = None,
    max_concurrent: int = 10,
    tools: ToolHome | None = None,
    knowledge: KnowledgeCatalog | None = None,
    day_budget: BudgetConfig | None = None,
) -> AsyncGenerator[Flows, None]:
    """Execute runs on `database` while the block lasts."""
    answers, watch = answers or Answers(), watch or Watch()
    watch.database = database
    executor = WorkflowExecutor(
        database=database,
        catalog=answers,
        project="demo",
        report=watch,
        tools=tools,
        knowledge=knowledge,
        day_budget=day_budget,
    )
    runtime = Runtime(database, execute=executor.execute, max_concurrent=max_concurrent, role="run")
    await runtime.start()
    try:
        yield Flows(database, runtime, answers, watch, tools.root if tools is not None else Path())
    finally:
        await runtime.stop()


def read_workflow(text: str, root: Path = Path()) -> Document:
    """Return a workflow that is written without its ID, after all checks of a project have passed."""
    parsed = parse_yaml(f"id: w\n{textwrap.dedent(text)}".encode(), file="w.yaml")
    node = parsed.node
    assert list(parsed.faults) == []
    assert isinstance(node, MappingNode)
    outline = WorkflowOutline(id="w", file="w.yaml", node=node, list=task_list_of(node))
    project = ProjectOutline(
        knows_providers=False,
        binds_knowledge=False,
        max_nesting_depth=20,
        providers=(),
        workflows=(outline,),
        root=root,
    )
    assert [*check_workflows(project), *check_templates(project)] == []
    document: Document = to_value(node)
    return document


def read_run(database: Database, run_id: str, connection: sa.Connection) -> Ran:
    """Return a run with its tasks and its rows of the journal."""
    query = f"SELECT function_name FROM {journal_table(database, 'operation_outputs')} WHERE workflow_uuid = :id"
    steps = connection.execute(sa.text(f"{query} ORDER BY function_id"), {"id": run_id}).scalars()
    tasks = {task.path: task for task in list_tasks(connection, run_id)}
    events = list_events(connection, run_id, after=0, limit=100_000)
    return Ran(run=get_execution(connection, run_id), tasks=tasks, steps=list(steps), events=events)


def check_run(ran: Ran) -> None:
    """Check that the stored rows of an ended run are consistent."""
    assert ran.status.is_final
    assert all(task.status.is_final for task in ran.tasks.values()), ran.states
    # Tasks that have ended in the journal have ended, and all others are canceled.
    ended = {name.removesuffix(".end") for name in ran.steps if name.endswith(".end")}
    assert ended <= ran.tasks.keys()
    others = {path for path in ran.tasks if path not in ended}
    assert {ran.states[path] for path in others} <= {"CANCELED", "TIMED_OUT"}, ran.states
    assert len(ended) == sum(name.endswith(".end") for name in ran.steps)
    for task in ran.tasks.values():
        parent = task.parent_state_id
        assert parent is None or parent.removeprefix(f"{task.workflow_exec_id}/") in ran.tasks
        assert task.finished_ms is not None
    counted: Counter[str] = Counter()
    for task in ran.tasks.values():
        for usage in task.usage or ():
            counted.update({key: usage[key] for key in ("input_tokens", "output_tokens", "requests")})
    told: Counter[str] = Counter()
    for usage in ran.run.usage or ():
        told.update({key: usage[key] for key in ("input_tokens", "output_tokens", "requests")})
    assert told == counted
    assert [event.seq for event in ran.events] == list(range(1, len(ran.events) + 1))
    logged = {event.path: event.data["status"] for event in ran.events if "status" in event.data}
    assert logged == {None: ran.status.value, **ran.states}


def _calling(calls: list[dict[str, Any]], request: int) -> ModelResponse:
    parts = [
        ToolCallPart(tool_name=call["tool"], args=call.get("arguments", {}), tool_call_id=f"{request}-{number}")
        for number, call in enumerate(calls)
    ]
    return ModelResponse(parts=parts, usage=RequestUsage(input_tokens=2, output_tokens=1), finish_reason="tool_call")


def _results_in(messages: list[ModelMessage]) -> list[list[Any]]:
    """Return name, outcome and content of each tool result in a conversation."""
    return [
        [part.tool_name, part.outcome, part.content]
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]


def _prompt_of(messages: list[ModelMessage]) -> str:
    prompts = [
        part.content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    return str(prompts[-1])
