"""Costs of model requests as JSON documents, summed by day, workflow, agent, model or execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from compozy.database.costs import COUNTS, GROUPS, CostFilter, sum_costs, total_costs
from compozy.database.usage import dollars

MAX_SUMS = 1000


def cost_sums(connection: sa.Connection, group: str, wanted: CostFilter, *, limit: int = MAX_SUMS) -> dict[str, Any]:
    """Return sums by a name of `compozy.database.costs.GROUPS`, and the total of all requests.

    Returns:
        `{"group_by", "costs": [...], "total"}`; the latest days first, otherwise the highest costs.
    """
    rows = sum_costs(connection, group, wanted, limit=limit)
    return {
        "group_by": group,
        "costs": [{**{name: row[name] for name in GROUPS[group]}, **_counts(row)} for row in rows],
        "total": _counts(total_costs(connection, wanted)),
    }


def no_costs(group: str) -> dict[str, Any]:
    """Return the document of a project without a database."""
    return {"group_by": group, "costs": [], "total": _counts(dict.fromkeys(COUNTS, 0))}


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "requests": row["requests"],
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "cache_read_tokens": row["cache_read_tokens"],
        "cache_write_tokens": row["cache_write_tokens"],
        "cost": dollars(row["cost_micros"], row["unpriced_requests"], row["requests"]),
        "unpriced_requests": row["unpriced_requests"],
    }
