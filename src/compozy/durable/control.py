"""Control of running executions: pause and cancel requests, signals, long waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.database.signals import list_signalled
from compozy.database.status import Status
from compozy.database.transitions import (
    PendingTransition,
    list_pending_transitions,
    mark_run,
    pause_owned_run,
    suspend_run,
)
from compozy.durable.context import RunContext, Suspension
from compozy.errors import DatabaseError, RunCanceledError

_log = structlog.get_logger(__name__)

# How soon a process sees what others ask of its runs, and signals that others sent.
_POLL_S = 0.2
# A run that waits for longer is shown as WAITING; and after that, when nothing is due soon, it gives up its place.
_WAITING_AFTER_S = 1.0
_SOON_S = 5.0


class Controller:
    """Looks after the runs of this process, from `start` to `stop`.

    Args:
        database: where requests and signals are stored.
        executor_id: this process as the owner of runs.
        contexts: returns the runs that it executes at the moment, by ID.
        cancel: ends a run that somebody asked to cancel.
        lays_aside: whether a run that waits for long gives up its place.
    """

    def __init__(
        self,
        database: Database,
        executor_id: str,
        contexts: Callable[[], Mapping[str, RunContext]],
        *,
        cancel: Callable[[str, Status, dict[str, Any]], Awaitable[bool]],
        lays_aside: bool,
    ) -> None:
        self._database = database
        self._executor_id = executor_id
        self._contexts = contexts
        self._cancel = cancel
        self._lays_aside = lays_aside
        self._canceling: dict[str, asyncio.Task[None]] = {}
        self._marked: set[str] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._loop = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        self._wake.set()
        if self._loop is not None:
            await asyncio.gather(self._loop, *self._canceling.values(), return_exceptions=True)

    def wake(self) -> None:
        """Check immediately: this process has just stored a request or a signal."""
        self._wake.set()

    async def let_go(self, context: RunContext) -> None:
        """Give up a run that has come to a halt, as PAUSED or until what it waits for comes."""
        owned = {"workflow_exec_id": context.run_id, "owner": self._executor_id}
        if context.suspension is Suspension.PAUSE:
            await self._database.write_async(partial(pause_owned_run, **owned))
        else:
            until = {"wake_ms": context.wake_ms, "names": context.signals}
            await self._database.write_async(partial(suspend_run, **owned, **until))

    async def _look_on(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if contexts := self._contexts():
                    await self._look(contexts)
            except DatabaseError as error:
                _log.warning("cannot look for requests and signals", cause=error.message)
            except Exception:  # noqa: BLE001 - the worker's edge: the next look may succeed
                _log.exception("cannot look for requests and signals")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _POLL_S)

    async def _look(self, contexts: Mapping[str, RunContext]) -> None:
        waiting = [run_id for run_id, context in contexts.items() if context.signals]
        requests, arrived = await self._database.read_async(partial(_read, owner=self._executor_id, waiting=waiting))
        for run_id, request in requests.items():
            self._obey(run_id, request, contexts.get(run_id))
        for run_id, name in arrived:
            contexts[run_id].signal_arrived(name)
        for context in contexts.values():
            await self._look_at_waits(context)
        self._marked &= contexts.keys()

    def _obey(self, run_id: str, request: PendingTransition, context: RunContext | None) -> None:
        if request.status is Status.PAUSED and context is not None:
            context.suspend(Suspension.PAUSE)
        if request.status is Status.CANCELED and run_id not in self._canceling:
            task = self._canceling[run_id] = asyncio.create_task(self._cancel_run(run_id, request.error))
            task.add_done_callback(lambda _: self._canceling.pop(run_id, None))

    async def _cancel_run(self, run_id: str, error: dict[str, Any] | None) -> None:
        try:
            await self._cancel(run_id, Status.CANCELED, error or RunCanceledError("canceled").to_json())
        except DatabaseError as failure:
            # It stays asked for, and is tried again.
            _log.warning("a run could not be canceled", execution_id=run_id, cause=failure.message)

    async def _look_at_waits(self, context: RunContext) -> None:
        is_long = context.waits_for_s() >= _WAITING_AFTER_S
        if is_long and self._lays_aside and not _is_due_soon(context):
            context.suspend(Suspension.SUSPEND)
            self._marked.discard(context.run_id)
        elif is_long != (context.run_id in self._marked):
            status = Status.WAITING if is_long else Status.RUNNING
            await self._database.write_async(
                partial(mark_run, workflow_exec_id=context.run_id, owner=self._executor_id, status=status)
            )
            (self._marked.add if is_long else self._marked.discard)(context.run_id)


def _read(
    connection: sa.Connection, owner: str, waiting: list[str]
) -> tuple[dict[str, PendingTransition], list[tuple[str, str]]]:
    return list_pending_transitions(connection, owner), list_signalled(connection, waiting) if waiting else []


def _is_due_soon(context: RunContext) -> bool:
    return context.wake_ms is not None and context.wake_ms - now_ms() < _SOON_S * 1000
