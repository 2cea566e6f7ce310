"""A replica, from which a server reads lists. It can lag behind, and the primary answers while it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
import structlog

from compozy.clock import monotonic_s
from compozy.database.facts import get_database_id
from compozy.database.failures import explain_failures
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)
T = TypeVar("T")

# After a failure, queries go to the primary for this long.
_PAUSE_S = 10.0


@dataclass(kw_only=True)
class Replica:
    """Reads from a replica.

    Args:
        engine: for queries.
        location: the replica as shown in messages.
        database_id: of the primary; the replica must have the same.
    """

    engine: sa.Engine
    location: str
    database_id: str | None
    _retry_s: float = 0.0
    _is_failing: bool = False

    def check(self) -> None:
        """Refuse another database than a replica of the primary. If it does not answer, lists come from the primary.

        Raises:
            DatabaseError: it is another database.
        """
        try:
            with explain_failures(self.location), self.engine.connect() as connection:
                is_same = get_database_id(connection) == self.database_id
        except DatabaseError as error:
            self._pause(error)
            return
        if not is_same:
            raise self._other_database()

    def read(self, query: Callable[[sa.Connection], T], from_primary: Callable[[], T]) -> T:
        """Return the result of a query, from the primary if the replica does not answer."""
        if monotonic_s() >= self._retry_s:
            try:
                return self._read(query)
            except DatabaseError as error:
                self._pause(error)
        return from_primary()

    def bytes_behind(self, primary: sa.Connection) -> int:
        """Return how many bytes of the log of the primary it has not applied yet.

        Raises:
            DatabaseError: it does not answer, or it is another database.
        """
        written = primary.exec_driver_sql("SELECT pg_current_wal_lsn()::text").scalar_one()
        applied = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE %s::pg_lsn END"
        query = f"SELECT greatest(0, pg_wal_lsn_diff(%s::pg_lsn, {applied}))::bigint"
        with explain_failures(self.location), self.engine.connect() as connection:
            if get_database_id(connection) != self.database_id:
                raise self._other_database()
            return int(connection.exec_driver_sql(query, (written, written)).scalar_one())

    def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with explain_failures(self.location), self.engine.connect() as connection:
            # After a failure, another server may have its address.
            if self._is_failing and get_database_id(connection) != self.database_id:
                raise self._other_database()
            result = query(connection)
        if self._is_failing:
            self._is_failing = False
            _log.info("the replica answers again; lists come from it")
        return result

    def _pause(self, error: DatabaseError) -> None:
        self._retry_s = monotonic_s() + _PAUSE_S
        if not self._is_failing:
            self._is_failing = True
            _log.warning("the replica does not answer; lists come from the primary", cause=error.message)

    def _other_database(self) -> DatabaseError:
        return DatabaseError(
            f"{self.location} is not a replica of the project's database",
            hint="set database.read_url to a replica of it, or remove the key",
        )
