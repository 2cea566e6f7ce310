"""The state of one run while this process executes it: recorded steps, waits, stop requests."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any

from compozy.clock import monotonic_s, now_ms, virtual_clock
from compozy.database.executions import Execution
from compozy.durable.holder import Holder
from compozy.durable.unrecorded import Unrecorded
from compozy.durable.writer import Writer
from compozy.errors import InternalError

# A wait looks at the clock this often at least: the time of day may be set while it sleeps.
_LONGEST_SLEEP_S = 1.0


# When the time of the task that runs ends, or of one around it, in milliseconds since 1970; None for no limit.
task_deadline_ms: ContextVar[int | None] = ContextVar("compozy_task_deadline", default=None)


class RunInterruptedError(BaseException):
    """A run stops here without having ended. No Exception, so that the journal records nothing and it stays open."""


class RunSuspendedError(RunInterruptedError):
    """A run comes to a halt because it shall: between two steps, with everything recorded."""


class Suspension(Enum):
    """Why a run comes to a halt."""

    PAUSE = "pause"
    SUSPEND = "suspend"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A step as the journal has it. `error` is the text of an unexpected exception, None for a step that returned."""

    function_id: int
    name: str
    output: Any = None
    error: str | None = None


@dataclass(eq=False, kw_only=True)
class _Wait:
    """One branch that waits, until a time or for a signal. `until_ms` also minds the end of the time of its task."""

    until_ms: int | None
    signal: str | None
    woken: asyncio.Future[None]


class RunContext:
    """One run in this process, from the call of its body to the return.

    The journal numbers the steps of a run; here they are found by their names, because branches that run at the same
    time record in any order. A name that is used again is told apart by its turn.

    Args:
        holder: the run, and this execution of it.
        writer: stores what the run records.
        unrecorded: results that this process could not record so far.
        recorded: what the journal holds already; None if it has recorded nothing of the run yet.
        run: the run, if this process has just accepted it and need not read it.
    """

    def __init__(
        self,
        holder: Holder,
        writer: Writer,
        unrecorded: Unrecorded,
        recorded: Iterable[Recorded] | None = (),
        run: Execution | None = None,
    ) -> None:
        self.run_id = holder.run_id
        self.holder = holder
        self.run = run
        self.is_resumed = recorded is not None
        self.unrecorded = unrecorded
        self.writer = writer
        self.suspension: Suspension | None = None
        self._recorded: defaultdict[str, deque[Recorded]] = defaultdict(deque)
        self._turns: Counter[str] = Counter()
        self._last_id = 0
        for step in sorted(recorded or (), key=lambda step: step.function_id):
            self._recorded[step.name].append(step)
            self._last_id = step.function_id
        self._branches = 1
        self._waits: set[_Wait] = set()
        self._wake_ms: int | None = None
        self._signals: set[str] = set()
        self._all_wait_since_s: float | None = None

    def take(self, name: str) -> Recorded | None:
        """Return what is recorded for the next step of this name, None when it is still to be done."""
        self._turns[name] += 1
        found = self._recorded.get(name)
        return found.popleft() if found else None

    def turns(self, name: str) -> int:
        """Return how often a step of this name was come to, in this process."""
        return self._turns[name]

    def is_recorded(self, name: str) -> bool:
        """Return whether `take` would find something."""
        return bool(self._recorded.get(name))

    def next_id(self) -> int:
        """Return the number of a new step in the journal."""
        self._last_id += 1
        return self._last_id

    def check(self) -> None:
        """Stop here when the run shall come to a halt; called before anything new is done.

        Raises:
            RunSuspendedError: it shall.
        """
        if self.suspension is not None:
            raise RunSuspendedError(self.suspension.value)

    async def carry_out(self, body: Awaitable[None]) -> None:
        """Wait for the body, and store what still waits however it ends: an answer may be paid for.

        Raises:
            BaseException: as `body`.
            DatabaseError: the database refused.
        """
        try:
            await body
        finally:
            if not self.holder.is_lost:
                await self.flush()

    async def flush(self) -> None:
        """Store what waits for the next transaction."""
        await self.writer.flush(self.holder)

    def suspend(self, why: Suspension) -> None:
        """Halt the run: running steps end and are recorded first, nothing new starts."""
        if self.suspension is None:
            # Kept, because the waits end now.
            self._wake_ms, self._signals = self.wake_ms, self.signals
        self.suspension = why
        for wait in self._waits:
            _wake(wait)

    @contextmanager
    def branching(self, count: int) -> Generator[Callable[[], None], None, None]:
        """Count `count` branches that run at the same time inside the block, in which the caller only waits for them.

        Yields what each of them calls when it ends. The last one hands its slot to the caller, so that the run does not
        seem to wait until the caller continues.
        """
        running = count
        self._branches += count - 1
        self._look_at_waits()

        def end_branch() -> None:
            nonlocal running
            running -= 1
            if running:
                self._branches -= 1
                self._look_at_waits()

        try:
            yield end_branch
        finally:
            # A branch that is canceled before its first step does not say that it ends.
            self._branches -= max(running - 1, 0)
            self._look_at_waits()

    async def wait(self, *, until_ms: int | None = None, signal: str | None = None) -> None:
        """Wait until the time of day `until_ms`, or until a signal named `signal` may be there.

        Raises:
            RunSuspendedError: the run shall come to a halt; what it waited for is stored, and it waits on when resumed.
        """
        self.check()
        await self.flush()
        known = [time for time in (until_ms, task_deadline_ms.get()) if time is not None]
        wait = _Wait(until_ms=min(known, default=None), signal=signal, woken=asyncio.get_running_loop().create_future())
        # Should the time of day be set back meanwhile, the wait lasts no longer for it.
        ends_s = monotonic_s() + _rest_s(until_ms)
        self._waits.add(wait)
        self._look_at_waits()
        clock = virtual_clock()
        alarm = nullcontext() if clock is None or until_ms is None else clock.alarm(until_ms, lambda: _wake(wait))
        try:
            with alarm:
                while not wait.woken.done() and (rest_s := _rest_s(until_ms, ends_s)) > 0:
                    await asyncio.wait({wait.woken}, timeout=min(max(rest_s, 0.001), _LONGEST_SLEEP_S))
        finally:
            self._waits.discard(wait)
            self._look_at_waits()
        self.check()

    def signal_arrived(self, name: str) -> None:
        """Wake who waits for the signal `name`."""
        for wait in self._waits:
            if wait.signal == name:
                _wake(wait)

    @property
    def signals(self) -> set[str]:
        """Return the names of the signals that the run waits for, or waited for when it was halted."""
        if self.suspension is not None:
            return self._signals
        return {wait.signal for wait in self._waits if wait.signal is not None}

    @property
    def wake_ms(self) -> int | None:
        """Return when the first of the waits ends by itself, None when only signals end them."""
        if self.suspension is not None:
            return self._wake_ms
        return min((wait.until_ms for wait in self._waits if wait.until_ms is not None), default=None)

    def waits_for_s(self) -> float:
        """Return for how long every branch of the run has been waiting, 0 when one of them works."""
        return 0.0 if self._all_wait_since_s is None else monotonic_s() - self._all_wait_since_s

    @property
    def is_idle(self) -> bool:
        """Return whether every branch waits."""
        return bool(self._waits) and self._all_wait_since_s is not None

    def _look_at_waits(self) -> None:
        if len(self._waits) < self._branches:
            self._all_wait_since_s = None
        elif self._all_wait_since_s is None:
            self._all_wait_since_s = monotonic_s()
            if (clock := virtual_clock()) is not None:
                clock.on_idle()


@asynccontextmanager
async def time_limit(until_ms: int | None) -> AsyncGenerator[asyncio.Timeout, None]:
    """End the block with a TimeoutError at the time of day `until_ms`, None for no limit.

    The time counts that a virtual clock shows, if the run has one.
    """
    clock = virtual_clock()
    if clock is None or until_ms is None:
        async with asyncio.timeout(None if until_ms is None else max(0.0, (until_ms - now_ms()) / 1000)) as limit:
            yield limit
        return
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None if clock.time_ms < until_ms else 0.0) as limit:
        with clock.alarm(until_ms, lambda: limit.reschedule(loop.time())):
            yield limit


_current: ContextVar[RunContext | None] = ContextVar("compozy_run", default=None)


def current_run() -> RunContext:
    """Return the run whose body this is.

    Raises:
        InternalError: this is no run's body.
    """
    context = _current.get()
    if context is None:
        raise InternalError("a step was started outside of a run")
    return context


def enter_run(context: RunContext) -> None:
    """Make `context` the run of the task that calls this, and of those that it starts."""
    _current.set(context)


def _rest_s(until_ms: int | None, ends_s: float = math.inf) -> float:
    """Return how long to wait yet: until the time of day `until_ms`, and no longer than to `ends_s` in any case."""
    until_s = math.inf if until_ms is None else (until_ms - now_ms()) / 1000
    return min(until_s, ends_s - monotonic_s())


def _wake(wait: _Wait) -> None:
    if not wait.woken.done():
        wait.woken.set_result(None)
