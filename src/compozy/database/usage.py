"""Token usage of runs, summed over their tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from compozy.database.tables import task_states

BY_MODEL = ("provider", "model")
# Tasks also store which provider was requested, and what cut answers off.
BY_ANSWERER = (*BY_MODEL, "fell_back_from", "reason", "finish_reason")
_COUNTS = ("input_tokens", "output_tokens", "requests")
_OF_RUN = (
    sa.select(task_states.c.usage)
    .where(task_states.c.workflow_exec_id == sa.bindparam("_id"))
    .order_by(task_states.c.position)
)


def sum_usage(connection: sa.Connection, workflow_exec_id: str) -> list[dict[str, Any]]:
    """Return the usage of all tasks of a run, including failed attempts and canceled tasks."""
    rows = connection.execute(_OF_RUN, {"_id": workflow_exec_id}).scalars()
    return add_usage(usage for usages in rows for usage in usages or ())


def add_usage(usages: Iterable[dict[str, Any]], by: Sequence[str] = BY_MODEL) -> list[dict[str, Any]]:
    """Return token counts summed by provider and model, in order of their first answer."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for usage in usages:
        about = {name: usage[name] for name in by if usage.get(name) is not None}
        total = sums.setdefault(tuple(about.items()), {**about, **dict.fromkeys(_COUNTS, 0)})
        for count in _COUNTS:
            total[count] += usage[count]
    return list(sums.values())
