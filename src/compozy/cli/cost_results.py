"""Output of costs: those of runs and tasks, and of `compozy costs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compozy.cli.output import print_json, print_line, print_note, print_table

_UNKNOWN = "unknown"
_COUNTS = ("requests", "input_tokens", "output_tokens")


def dollar_text(dollars: float) -> str:
    """Return dollars with as many decimals as a cost has, at least two."""
    whole, _, decimals = f"{dollars:,.6f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def shown_cost(document: Mapping[str, Any]) -> str:
    """Return the cost in a document of a run, a task or a sum; `-` without a model request."""
    # A server of an earlier version has no costs.
    cost, unpriced = document.get("cost"), document.get("unpriced_requests", 0)
    known = [] if cost is None else [dollar_text(cost)]
    return " + ".join([*known, *([_UNKNOWN] if unpriced else [])]) or "-"


def costs_something(documents: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether one of the documents has a cost that is not 0."""
    return any(document.get("cost") or document.get("unpriced_requests") for document in documents)


def print_costs(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print costs by day, workflow, agent, model or execution."""
    if as_json:
        print_json(document)
        return
    rows: Sequence[Mapping[str, Any]] = document["costs"]
    if not rows:
        print_note("No model requests are recorded.")
        return
    keys = [name for name in rows[0] if name in {"day", "workflow_id", "agent", "provider", "model", "execution_id"}]
    headings = (*(name.removesuffix("_id").upper() for name in keys), "REQUESTS", "INPUT", "OUTPUT", "COST")
    print_table(headings, [_cost_row(row, keys) for row in rows])
    total: Mapping[str, Any] = document["total"]
    print_line()
    print_line(f"Total: {shown_cost(total)} for {total['requests']} requests")
    if total["unpriced_requests"]:
        print_note(
            f"note: the price of {total['unpriced_requests']} requests is not known; "
            "give their provider a `price` for the next ones"
        )


def _cost_row(row: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return (*(str(row[key]) or "-" for key in keys), *(str(row[name]) for name in _COUNTS), shown_cost(row))
