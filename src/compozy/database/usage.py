"""What runs cost: token counts of their tasks, summed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from compozy.database.tables import task_states

_COUNTS = ("input_tokens", "output_tokens", "requests")
_OF_RUN = (
    sa.select(task_states.c.usage)
    .where(task_states.c.workflow_exec_id == sa.bindparam("_id"))
    .order_by(task_states.c.position)
)


def sum_usage(connection: sa.Connection, workflow_exec_id: str) -> list[dict[str, Any]]:
    """Return what the tasks of a run have cost, also those of attempts that failed and of what was then canceled."""
    rows = connection.execute(_OF_RUN, {"_id": workflow_exec_id}).scalars()
    return add_usage(usage for usages in rows for usage in usages or ())


def add_usage(usages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return token counts summed by provider and model, in the order in which they first answered."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for usage in usages:
        about = {"provider": usage["provider"], "model": usage["model"]}
        total = sums.setdefault((usage["provider"], usage["model"]), {**about, **dict.fromkeys(_COUNTS, 0)})
        for count in _COUNTS:
            total[count] += usage[count]
    return list(sums.values())
