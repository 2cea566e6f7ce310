"""Stores changes of several callers in one transaction: its commit costs as much as that of a single change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from compozy.database.database import Database

T = TypeVar("T")
# Changes of one transaction: more would delay the first of them.
_AT_ONCE = 64


@dataclass(eq=False, slots=True)
class _Change:
    """A change, the variables of its caller, and the future that the caller waits for."""

    make: Callable[[sa.Connection], Any]
    context: Context
    stored: asyncio.Future[Any]


@dataclass(eq=False, slots=True)
class _Outcome:
    change: _Change
    result: Any = None
    error: BaseException | None = None


class GroupedWrites:
    """Makes changes in a thread: all that wait, in one transaction. If one of them fails, each half is made separately.

    Args:
        database: where the changes are made.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Lock()
        self._waiting: list[_Change] = []
        self._is_storing = False

    async def write(self, make: Callable[[sa.Connection], T]) -> T:
        """Return what `make` returns when it is committed. It may be called again, in a new transaction.

        Raises:
            DatabaseError: the database failed. Unless the connection was lost during the commit, nothing was stored.
        """
        loop = asyncio.get_running_loop()
        change = _Change(make, copy_context(), loop.create_future())
        with self._changed:
            if not self._is_storing:
                loop.run_in_executor(self._database.write_threads, self._store_waiting, loop)
                self._is_storing = True
            self._waiting.append(change)
        return await change.stored

    def _store_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        while group := self._take():
            outcomes = self._store(group)
            # The loop is closed if the process is ending without waiting for its requests.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, outcomes)

    def _take(self) -> list[_Change]:
        with self._changed:
            self._waiting = [change for change in self._waiting if not change.stored.cancelled()]
            group, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            self._is_storing = bool(group)
            return group

    def _store(self, group: Sequence[_Change]) -> list[_Outcome]:
        results: list[Any] = []
        is_open = False
        try:
            with self._database.write() as connection:
                is_open = True
                if len(group) > 1:
                    self._database.driver.limit_lock_waits(connection)
                results.extend(_make(change, connection) for change in group)
        except BaseException as error:  # noqa: BLE001 - passed on to the callers, or met again
            # A commit that failed may count: nothing is made twice. A database that does not answer is asked once.
            if not is_open or len(results) == len(group) or len(group) == 1:
                return [_Outcome(change, error=error) for change in group]
        else:
            return [_Outcome(change, result) for change, result in zip(group, results, strict=True)]
        middle = len(group) // 2
        return [*self._store(group[:middle]), *self._store(group[middle:])]


def _make(change: _Change, connection: sa.Connection) -> Any:
    return change.context.run(change.make, connection)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Hand results to the callers; runs on the event loop."""
    for outcome in outcomes:
        stored = outcome.change.stored
        if stored.done():
            continue
        if outcome.error is None:
            stored.set_result(outcome.result)
        else:
            stored.set_exception(outcome.error)
