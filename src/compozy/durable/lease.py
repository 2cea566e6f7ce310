"""The lease by which a process shows that it lives, renewed from a thread that no busy event loop can delay."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.executions import release_runs
from compozy.database.executors import delete_executor, insert_executor, renew_lease
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)

LEASE_S = 10.0
# Three renewals may fail before others take this process for dead.
_RENEW_S = LEASE_S / 4


class Lease:
    """This process among those that execute runs, from `take` to `give_back`."""

    def __init__(self, database: Database, executor_id: str, role: str, queues: Sequence[str] = ()) -> None:
        self.executor_id = executor_id
        self._database = database
        self._role = role
        self._queues = queues
        self._judges_from_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="compozy-lease", daemon=True)

    def take(self) -> None:
        """Store this process and keep it alive."""
        with self._database.write() as connection:
            self._insert(connection)
        self._thread.start()

    def give_back(self) -> None:
        """Free the runs that are still open, and forget this process."""
        self._stopping.set()
        self._thread.join()
        try:
            with self._database.write() as connection:
                release_runs(connection, self.executor_id)
                delete_executor(connection, self.executor_id)
        except DatabaseError as error:
            # Nothing is lost: the lease runs out by itself, and others take the runs then.
            _log.warning("could not sign off", cause=error.message)

    def can_judge(self) -> bool:
        """Return whether executors with an expired lease may be reaped.

        Not so soon after the database was away: then the leases of the living ran out too, and they need a moment.
        """
        return monotonic_s() >= self._judges_from_s

    def _keep(self) -> None:
        while not self._stopping.wait(_RENEW_S):
            try:
                with self._database.write() as connection:
                    self._renew(connection)
            except DatabaseError as error:
                self._judges_from_s = monotonic_s() + LEASE_S
                _log.warning("the lease could not be renewed", cause=error.message)
            except Exception:  # noqa: BLE001 - the worker's edge: without this thread, others take this process's runs
                self._judges_from_s = monotonic_s() + LEASE_S
                _log.exception("the lease could not be renewed")

    def _renew(self, connection: sa.Connection) -> None:
        if renew_lease(connection, self.executor_id, lease_ms=_ms(LEASE_S)):
            return
        # The lease expired during a long standstill. Other processes own its runs, and their journal entries fence it
        # off; it continues with the runs that it claims from here on.
        _log.warning("Lease expired; other processes took over this process's runs")
        self._insert(connection)

    def _insert(self, connection: sa.Connection) -> None:
        lease_ms = _ms(LEASE_S)
        insert_executor(connection, self.executor_id, role=self._role, lease_ms=lease_ms, queues=self._queues)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
