"""The claims of one process: which runs it takes, and from which queues."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from compozy.clock import monotonic_s
from compozy.database.admission import admit, look_at_waiting
from compozy.database.claims import claim_one, claim_pending, has_claimable
from compozy.database.database import Database
from compozy.database.executions import NewExecution, get_execution
from compozy.database.grouped import GroupedWrites
from compozy.database.status import Status
from compozy.durable.doubt import ClaimsInDoubt
from compozy.durable.ends import end_run_early
from compozy.durable.entries import Entries
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.held import Opened
from compozy.errors import RunTimeoutError

_T = TypeVar("_T")

# How often a process looks for runs that wait for a place although one is free.
_ADMIT_S = 1.0
_OVERDUE = RunTimeoutError("it had no place within its time limit")


class Claims:
    """Takes runs for a process.

    Args:
        database: the database of the runs.
        entries: those of this process in the journal.
        queues: of which it takes runs; none for all.
        requests: the database as requests use it.
    """

    def __init__(self, database: Database, entries: Entries, queues: Sequence[str], *, requests: Database) -> None:
        self._database = database
        self._requests = requests
        self._accepts = GroupedWrites(requests)
        self._entries = entries
        self._owner = entries.executor_id
        self._queues = queues
        self._doubt = ClaimsInDoubt(database, entries.executor_id)
        self._others_wait = False
        self._admitted_s = -_ADMIT_S

    def choose_owner(self, new: NewExecution, free_slots: int) -> str | None:
        """Return this process if it executes `new` as soon as it is stored; None if the run waits to be claimed.

        A new run waits behind those that wait for a slot already, and with limits until it has a place.
        """
        if new.admission is not None or (self._queues and new.queue not in self._queues):
            return None
        owner = self._owner if free_slots > 0 and not self._others_wait else None
        self._others_wait = owner is None
        return owner

    async def accept(self, new: NewExecution, store: Callable[[sa.Connection], _T], *, locks_more: bool) -> _T:
        """Store a run, with this process as its owner or without one; return what `store` returns.

        Runs that come at the same time are stored together, except those that lock rows which other transactions need.

        Args:
            new: the run.
            store: stores it.
            locks_more: whether `store` locks other rows than those of the run and of its limits.
        """
        is_apart = locks_more or new.is_alone or new.admission is not None
        write = self._requests.write_async if is_apart else self._accepts.write
        return await self._doubt.take(write(store), new.workflow_exec_id)

    async def accept_here(
        self, new: NewExecution, store: Callable[[sa.Connection], bool], *, locks_more: bool
    ) -> dict[str, Opened | None]:
        """Store a run that this process executes immediately, with its entry in the journal.

        Args:
            new: the run.
            store: stores it with this process as its owner, and returns whether it did.
            locks_more: as for `accept`.

        Returns:
            As for `take`; nothing if `store` returned False.
        """
        run_id = new.workflow_exec_id

        def store_here(connection: sa.Connection) -> dict[str, Opened | None]:
            stored = self._open(connection, [run_id] if store(connection) else [])
            return {
                run_id: opened and replace(opened, run=get_execution(connection, run_id))
                for run_id, opened in stored.items()
            }

        return await self.accept(new, store_here, locks_more=locks_more)

    async def take_one(self, run_id: str) -> dict[str, Opened | None]:
        """Claim one run that has no owner, whatever its queue; see `take` for the result."""

        def claim(connection: sa.Connection) -> dict[str, Opened | None]:
            is_claimed = claim_one(connection, run_id, self._owner, journal_format=JOURNAL_FORMAT)
            return self._open(connection, [run_id] if is_claimed else [])

        return await self._doubt.take(self._database.write_async(claim), run_id)

    def _open(self, connection: sa.Connection, claimed: Sequence[str]) -> dict[str, Opened | None]:
        """Open the entries of claimed runs that have none; the result is in the order of the claims."""
        tokens = self._entries.open(connection, claimed)
        return {run_id: Opened(token=tokens[run_id]) if run_id in tokens else None for run_id in claimed}

    async def any_wait(self) -> bool:
        """Return whether runs wait that this process can claim."""
        look = partial(has_claimable, journal_format=JOURNAL_FORMAT, queues=self._queues)
        found = await self._database.read_async(look)
        self._others_wait = self._others_wait and found
        return found

    async def admit_waiting(self) -> None:
        """Admit the runs that no end of another run has admitted: their place or their rate was free already.

        Runs whose deadline has passed end before. Nothing happens if the last call was less than a second ago.
        """
        if monotonic_s() - self._admitted_s < _ADMIT_S:
            return
        waiting = await self._database.read_async(look_at_waiting)
        for run_id in waiting.overdue:
            await end_run_early(self._database, run_id, Status.TIMED_OUT, _OVERDUE.to_json())
        for group in waiting.groups:
            await self._database.write_async(partial(admit, group=group))
        self._admitted_s = monotonic_s()

    async def take(self, limit: int) -> dict[str, Opened | None]:
        """Claim up to `limit` runs.

        Returns:
            By the IDs of the runs, the entries that this process opened; None for runs that are to be resumed.
        """

        def claim(connection: sa.Connection) -> dict[str, Opened | None]:
            claimed = claim_pending(
                connection, self._owner, journal_format=JOURNAL_FORMAT, limit=limit, queues=self._queues
            )
            return self._open(connection, claimed)

        claimed = await self._doubt.take(self._database.write_async(claim))
        self._others_wait = len(claimed) == limit
        return claimed

    async def settle(self, in_hand: Callable[[], Collection[str]]) -> None:
        """Give back the runs of claims that failed here and count in the database.

        Raises:
            DatabaseError: the database does not answer; they are given back later.
        """
        await self._doubt.settle(in_hand)
