"""Runs one test: a fresh run on a database that exists only for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from compozy.app import COMMAND, App, open_app
from compozy.boundary import within
from compozy.clock import VirtualClock, by_clock, monotonic_s, now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.database.events import list_events
from compozy.database.status import Status
from compozy.database.tasks import TaskState, list_tasks
from compozy.database.trigger import Trigger
from compozy.durable.context import RunContext, current_run
from compozy.errors import CompozyError, RunCanceledError, SchemaMismatchError, UsageError
from compozy.ids import seeded_chance, uuid_by
from compozy.memory.verbs import MemoryVerbs
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject
from compozy.project.memories import memories_of
from compozy.replay.cassette import Recording
from compozy.replay.collect import Test
from compozy.replay.config import ApprovalAnswer, TestSignal
from compozy.replay.expect import Observed, compare
from compozy.replay.player import Mode, PlayedCall, Player
from compozy.replay.secrets import Secrets
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from compozy.template.functions.sources import SOURCES
from compozy.workflow.documents import read_run
from compozy.workflow.operate import approve, signal
from compozy.workflow.start import prepare_run, start_run

IN_MEMORY = DatabaseSettings(driver="sqlite", path=":memory:")
_LONGEST_S = 600.0
_NS_IN_MS = 1_000_000
APPROVAL = "approve:"
"""Start of the names of signals with the answer to a tool call that needs an approval."""
# A test starts its run and answers its questions; `approver: not_starter` accepts the answers.
_TRIGGER, _TESTER = Trigger(type="test"), "test"
NewPlayer = Callable[..., Player]
"""Makes a player from `stubs`, `secrets` and `on_miss`."""


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The result of one test.

    Attributes:
        problems: how the run differs from what was expected; none if the test passed.
        recording: what the run asked, to be written; None if the recording is not to change.
        run: the run as `workflow get --format json` shows it; empty if it could not start.
        events: the event log of the run, without times.
        calls: the tool calls of the run.
        has_ended: whether the run came to its end; not one that the test stopped.
    """

    problems: tuple[str, ...]
    seconds: float
    recording: Recording | None = None
    run: Mapping[str, Any] = field(default_factory=dict[str, Any])
    events: tuple[Mapping[str, Any], ...] = ()
    calls: tuple[PlayedCall, ...] = ()
    has_ended: bool = False


def run_test(
    project: LoadedProject,
    test: Test,
    *,
    mode: Mode,
    secrets: Secrets,
    database: DatabaseSettings = IN_MEMORY,
    played: NewPlayer | None = None,
) -> TestResult:
    """Run one test and compare its run with what it expects.

    Args:
        project: the project.
        test: the test.
        mode: how requests of the run are answered.
        secrets: masked in everything that is recorded and reported.
        database: an empty database.
        played: returns what answers the requests of the run; None for the recording of the test.
    """
    began_s = monotonic_s()
    try:
        result = asyncio.run(_Drive(replace(project, database=database), test, mode, secrets, played).run())
    except CompozyError as error:
        result = TestResult(problems=(error.message + (f" ({error.hint})" if error.hint else ""),), seconds=0.0)
    problems = tuple(secrets.mask(problem) for problem in result.problems)
    return replace(result, problems=problems, run=secrets.mask(result.run), seconds=monotonic_s() - began_s)


class _Drive:
    """The run of one test, and what the test does while it waits."""

    def __init__(
        self, project: LoadedProject, test: Test, mode: Mode, secrets: Secrets, played: NewPlayer | None
    ) -> None:
        self._project = project
        self._test = test
        self._mode = mode
        self._secrets = secrets
        name = f"{test.file.path.name}/{test.case.name}"
        self._run_id = f"test-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        self._attention = asyncio.Event()
        self._is_idle = False
        self._context: RunContext | None = None
        self._problems: list[str] = []
        self._signals = dict(enumerate(test.case.signals))
        self._approvals = dict(test.case.approvals)
        self._answered: set[str] = set()
        self._used: set[str] = set()
        # A recording starts now; a replay, when the recording started.
        recorded = None if mode is Mode.RECORD else test.recording.now_ms
        start_ms = next((time for time in (test.now_ms, recorded) if time is not None), now_ms())
        self._clock = VirtualClock(start_ms, self._idle)
        self._start_ms = start_ms
        new_player = played or partial(Player, test.recording, mode=mode, missing=test.missing)
        self._player = new_player(stubs=test.case.stub, secrets=secrets, on_miss=self._attention.set)

    def _idle(self) -> None:
        self._is_idle = True
        self._attention.set()

    async def run(self) -> TestResult:
        """Run the test to its end."""
        database = open_storage(self._project, wait_for_lock_s=0.0)
        try:
            opened = open_app(self._project, database, role=COMMAND, report=Silence(), around=self._around)
            async with opened as app:
                with _repeatable_templates(self._run_id):
                    with within(self._player), by_clock(self._clock):
                        await self._store_conversations(database)
                        await self._start(app)
                    await self._follow(app)
                return await self._result(database)
        finally:
            close_storage(database)

    def _around(self, execute: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
        async def bounded(execution_id: str) -> None:
            if execution_id != self._run_id:
                # Started by an event of the run: another test can run that workflow.
                return
            self._context = current_run()
            with within(self._player), by_clock(self._clock):
                await execute(execution_id)

        return bounded

    async def _store_conversations(self, database: Database) -> None:
        verbs = MemoryVerbs(memories_of(self._project), database)
        for each in self._test.case.conversations:
            messages = [message.model_dump() for message in each.messages]
            await verbs.write(each.memory, each.key, messages)

    async def _start(self, app: App) -> None:
        workflow = self._project.workflow(self._test.workflow_id).config
        definition = snapshot(self._project, self._test.workflow_id)
        given = self._test.case.input
        with self._located("input"):
            new = prepare_run(workflow, definition, given, execution_id=self._run_id, trigger=_TRIGGER)
        # It is alone in its database, and starts immediately.
        await start_run(app.runtime, workflow, replace(new, admission=None))

    async def _follow(self, app: App) -> None:
        """Act whenever the run waits, until it has ended."""
        ended = asyncio.create_task(app.runtime.wait(self._run_id))
        try:
            async with asyncio.timeout(_LONGEST_S):
                while not ended.done():
                    attention = asyncio.create_task(self._attention.wait())
                    await asyncio.wait({ended, attention}, return_when=asyncio.FIRST_COMPLETED)
                    attention.cancel()
                    self._attention.clear()
                    if self._player.misses or (self._is_idle and not ended.done() and not await self._act(app)):
                        await self._stop(app)
                        return
                await ended
        except TimeoutError:
            self._problems.append(f"the run did not end within {_LONGEST_S:g} s")
            await self._stop(app)
        finally:
            ended.cancel()

    async def _act(self, app: App) -> bool:
        """Answer what the run waits for, else move its clock; False if neither is possible."""
        self._is_idle = False
        tasks = await app.run_database.read_async(partial(list_tasks, workflow_exec_id=self._run_id))
        if self._context is None or not self._context.is_idle:
            # A branch had ended, and its parent continued.
            return True
        waiting = [task for task in tasks if task.status is Status.WAITING and task.waits_for]
        for task in waiting:
            if await self._answer(app, task):
                return True
        if self._clock.advance():
            return True
        names = ", ".join(f"task {task.path!r} waits for {_shown(task)}" for task in waiting)
        budget = next((task for task in waiting if _is_budget(task)), None)
        hint = "see `signals` and `approvals`" if budget is None else _raise_hint(budget)
        self._problems.append(f"the run waits without end: {names or 'nothing wakes it'}; {hint}")
        self._problems += self._unused_approvals()
        return False

    async def _answer(self, app: App, task: TaskState) -> bool:
        name = str(task.waits_for)
        if name.startswith(APPROVAL) or (_is_budget(task) and task.path in self._approvals):
            tool = task.task_id.split("-", 3)[-1]
            key = task.path if task.path in self._approvals else tool
            answer = self._approvals.get(key)
            if answer is None or task.path in self._answered:
                return False
            self._used.add(key)
            if _is_budget(task) and (answer.approve or answer.arguments):
                # The form asks for an amount, which `approvals` does not have.
                return False
            self._answered.add(task.path)
            with self._located("approvals", key):
                await self._send(app, task, _payload(answer))
            return True
        for index, each in self._signals.items():
            if each.at in {None, task.path, task.task_id} and each.name in {None, name}:
                del self._signals[index]
                with self._located("signals", index, "payload"):
                    await self._send(app, task, each.payload)
                return True
        return False

    @contextmanager
    def _located(self, *path: str | int) -> Generator[None]:
        """Let an error inside the block name the value of the test that it is about; hints name other ways to give it.

        Raises:
            UsageError: the value does not fit.
        """
        try:
            yield
        except (SchemaMismatchError, UsageError) as error:
            name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
            raise UsageError(f"{self._test.locate(*path)}: {name}: {error.message}") from error

    async def _send(self, app: App, task: TaskState, payload: Any) -> None:
        with by_clock(self._clock):
            if "form" in (task.output or {}):
                await approve(app.run_database, self._run_id, payload, task=task.path, by=_TESTER)
            else:
                await signal(app.run_database, self._run_id, str(task.waits_for), payload, by=_TESTER)
        app.runtime.wake()

    async def _stop(self, app: App) -> None:
        error = RunCanceledError("stopped by its test").to_json()
        await app.runtime.cancel(self._run_id, Status.CANCELED, error)

    async def _result(self, database: Database) -> TestResult:
        player = self._player
        _, run = await database.read_async(partial(read_run, execution_id=self._run_id))
        events = await database.read_async(partial(list_events, execution_id=self._run_id, after=0, limit=100_000))
        log = tuple({"kind": event.kind, "path": event.path, "data": event.data} for event in events)
        was_stopped = bool(player.misses or self._problems)
        problems = [*player.misses, *self._problems]
        if not was_stopped:
            problems += [*compare(self._test.case.expect, Observed(run=run, calls=player.calls)), *self._unused()]
        recording = None if was_stopped else self._new_recording()
        calls = tuple(player.calls)
        return TestResult(
            problems=tuple(problems),
            seconds=0.0,
            recording=recording,
            run=run,
            events=log,
            calls=calls,
            has_ended=not was_stopped,
        )

    def _unused(self) -> list[str]:
        """Return what the test or its recording contains, and the run did not need."""
        left = self._player.unused if self._mode is Mode.REPLAY else []
        counted: dict[str, int] = {}
        for exchange in left:
            key = f"{exchange.kind} of task {exchange.path!r}"
            counted[key] = counted.get(key, 0) + 1
        hint = "run `compozy test --mode refresh`"
        return [
            *(f"the recording has {count} unused: {key}; {hint}" for key, count in counted.items()),
            *(f"the run did not wait for the signal {_name(each)}" for each in self._signals.values()),
            *self._unused_approvals(),
            *(f"the run did not use the stub of {name!r}" for name in sorted(self._player.unused_stubs)),
        ]

    def _unused_approvals(self) -> list[str]:
        return [f"the run asked for no approval of {key!r}" for key in self._approvals if key not in self._used]

    def _new_recording(self) -> Recording | None:
        if self._mode is Mode.REPLAY or (
            self._mode is Mode.AUTO and not self._player.asked and not self._player.unused
        ):
            return None
        return Recording(now_ms=self._start_ms, exchanges=tuple(self._player.made))


@contextmanager
def _repeatable_templates(seed: str) -> Generator[None]:
    """Let `now` in templates show the clock of the run inside the block, and give the same random values each time."""
    saved = SOURCES.now_ns, SOURCES.chance, SOURCES.new_uuid
    SOURCES.now_ns = lambda: now_ms() * _NS_IN_MS
    SOURCES.chance = seeded_chance(seed)
    SOURCES.new_uuid = partial(uuid_by, SOURCES.chance)
    try:
        yield
    finally:
        SOURCES.now_ns, SOURCES.chance, SOURCES.new_uuid = saved


def _payload(answer: ApprovalAnswer) -> dict[str, Any]:
    return answer.model_dump(mode="json", exclude_none=True)


def _name(each: TestSignal) -> str:
    return " ".join(part for part in (each.name and repr(each.name), each.at and f"at {each.at!r}") if part)


def _is_budget(task: TaskState) -> bool:
    return "budget" in (task.output or {})


def _raise_hint(task: TaskState) -> str:
    """Return how a test answers the question of a spent budget."""
    (amount,) = task.output["form"]["then"]["required"]
    example = f'signals: [{{at: "{task.path}", payload: {{approve: true, {amount}: 1}}}}]'
    return f'raise it with `{example}`, or deny it with `approvals: {{"{task.path}": deny}}`'


def _shown(task: TaskState) -> str:
    name = str(task.waits_for)
    if _is_budget(task):
        return "the answer to its budget question"
    return "an approval" if name.startswith(APPROVAL) else f"signal {name!r}"
