"""The rule `approver: not_starter`: the person who answers is known, and did not start the run."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from compozy.database.tables import workflow_states
from compozy.database.trigger import TriggerType

Approver = Literal["not_starter"]
# Runs that a person started. Without a name, anyone can have been that person.
_BY_PERSON = frozenset({TriggerType.API, TriggerType.CLI, TriggerType.MCP, TriggerType.RERUN, TriggerType.BATCH, None})
# An event that a task sent names the run of that task, which another event can have started.
_MAX_HOPS = 20


def find_approver_problem(connection: sa.Connection, execution_id: str, by: str | None) -> str | None:
    """Return why `by` may not answer a task with `approver: not_starter`; None if they may."""
    if by is None:
        return "the approver is not known"
    trigger_type, starter = _find_start(connection, execution_id)
    if starter == by:
        return f"{by} started the execution"
    if starter is None and trigger_type in _BY_PERSON:
        return "the execution does not record who started it"
    return None


def _find_start(connection: sa.Connection, execution_id: str) -> tuple[str | None, str | None]:
    """Return the trigger type and the starter of a run, or of the run whose task started it with an event."""
    columns = (workflow_states.c.trigger_type, workflow_states.c.started_by)
    found: tuple[str | None, str | None] = (None, None)
    for _ in range(_MAX_HOPS):
        row = connection.execute(sa.select(*columns).where(workflow_states.c.workflow_exec_id == execution_id)).first()
        if row is None:
            # The starter is a person, or a run that was deleted.
            return found
        found = (row[0], row[1])
        if row[0] != TriggerType.EVENT or row[1] is None:
            return found
        execution_id = row[1]
    return None, None
