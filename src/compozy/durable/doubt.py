"""Runs that a process took in a transaction whose outcome it does not know.

If the connection is lost while a claim is committed, the claim fails here, and may count in the database: the run has
an owner that lives, and nobody executes it. Such runs are given back as soon as the database answers again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeVar

import structlog

from compozy.database.claims import list_owned
from compozy.database.database import Database
from compozy.database.transitions import release_run

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class ClaimsInDoubt:
    """Remembers whether a claim failed, and gives back the runs that it took nevertheless.

    Args:
        database: the database of the runs.
        owner: this process.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner
        self._being_taken: list[str] = []
        self._is_open = False

    async def take(self, transaction: Awaitable[_T], run_id: str = "") -> _T:
        """Return the result of a transaction that takes runs. A caller that names the run begins it immediately."""
        self._being_taken.append(run_id)
        try:
            return await transaction
        except BaseException:
            self._is_open = True
            raise
        finally:
            self._being_taken.remove(run_id)

    async def settle(self, in_hand: Callable[[], Collection[str]]) -> None:
        """Give back the runs of this process that it does not execute, if a claim has failed.

        Raises:
            DatabaseError: the database does not answer; they are given back later.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            owned = await self._database.read_async(partial(list_owned, owner=self._owner))
            # Compared after reading: a run that is taken meanwhile is named before its transaction begins.
            for run_id in set(owned) - set(in_hand()) - set(self._being_taken):
                await self._database.write_async(partial(release_run, workflow_exec_id=run_id, owner=self._owner))
                _log.warning("gave back a run whose claim was interrupted", execution_id=run_id)
        except BaseException:
            self._is_open = True
            raise
