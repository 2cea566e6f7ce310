"""Token usage and costs of runs, summed over their tasks.

Costs are millionths of a dollar. Requests whose price is not known are counted in `unpriced_requests`; usage that was
stored before prices were has neither key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from compozy.database.tables import task_states

BY_MODEL = ("provider", "model")
# Tasks also store which provider was requested, and what cut answers off.
BY_ANSWERER = (*BY_MODEL, "fell_back_from", "reason", "finish_reason")
_COUNTS = ("input_tokens", "output_tokens", "requests")
_CACHE_COUNTS = ("cache_read_tokens", "cache_write_tokens")
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
    """Return token counts and costs summed by provider and model, in order of their first answer."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for usage in usages:
        about = {name: usage[name] for name in by if usage.get(name) is not None}
        total = sums.setdefault(tuple(about.items()), {**about, **dict.fromkeys(_COUNTS, 0)})
        for count in _COUNTS:
            total[count] += usage[count]
        for count in _CACHE_COUNTS:
            if usage.get(count):
                total[count] = total.get(count, 0) + usage[count]
        total["cost_micros"] = total.get("cost_micros", 0) + usage.get("cost_micros", 0)
        total["unpriced_requests"] = total.get("unpriced_requests", 0) + unpriced_in(usage)
    return list(sums.values())


def unpriced_in(usage: Mapping[str, Any]) -> int:
    """Return the number of requests whose price is not known."""
    return int(usage.get("unpriced_requests", usage.get("requests", 0)))


def sum_cost(usages: Iterable[Mapping[str, Any]]) -> tuple[int, int, int]:
    """Return the cost in millionths of a dollar, the requests without a price, and all requests."""
    found = [(usage.get("cost_micros", 0), unpriced_in(usage), usage.get("requests", 0)) for usage in usages]
    return sum(cost for cost, _, _ in found), sum(count for _, count, _ in found), sum(count for *_, count in found)


def dollars(micros: int, unpriced_requests: int, requests: int) -> float | None:
    """Return a cost in dollars; None if no request was made, or the price of none is known."""
    return None if requests == unpriced_requests else micros / 1_000_000


def shown_cost(usages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what documents and events say about a cost: `cost` in dollars, and `unpriced_requests`.

    `cost` is None if no request was made, or the price of none is known.
    """
    micros, unpriced, requests = sum_cost(usages)
    return {"cost": dollars(micros, unpriced, requests), "unpriced_requests": unpriced or None}
