"""Examples of request and response bodies for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RUN = "01M80B70F55078T1CDDN0TQZE3"

EXAMPLES: Mapping[str, Any] = {
    "StartBody": {"input": {"order": 17}, "labels": {"team": "ops"}, "timeout": 3600},
    "StartSyncBody": {"input": {"order": 17}, "timeout": 60},
    "CancelBody": {"reason": "ordered twice"},
    "SignalBody": {"name": "paid", "payload": {"amount": 25}, "id": "payment-42"},
    "ApproveBody": {"input": {"approved": True, "note": "checked"}, "task": "review"},
    "RerunBody": {"from": "summarize", "input": {"order": 17}},
    "BatchBody": {"action": "cancel", "filter": {"status": ["WAITING"], "workflow_id": "order"}, "dry_run": True},
    "EventBody": {"name": "order.created", "payload": {"order": 17}, "id": "order-17"},
    "ReplayBody": {"new_run": False},
    "ScheduleChange": {"enabled": True, "cron": "0 9 * * 1-5", "timezone": "Europe/Berlin"},
    "BackfillBody": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-07T00:00:00Z"},
    "IngestBody": {"documents": [{"name": "returns.md", "text": "# Returns\n\nWithin 30 days."}]},
    "QueryBody": {"query": "How long can customers return an order?", "top_k": 3},
    "WriteBody": {"key": "user:ana", "messages": [{"role": "user", "content": "My order is late."}]},
    "AppendBody": {
        "key": "user:ana",
        "messages": [{"role": "user", "content": "Is it on its way?"}],
        "id": "message-7",
    },
    "ClearBody": {"key": "user:ana", "confirm": True},
    "DeleteBody": {"key": "user:ana"},
    "FlushBody": {"key": "user:ana", "dry_run": True},
    "LoginBody": {"email": "ana@example.com", "password": "correct-horse-battery-staple"},
    "KeyBody": {"name": "deploy script", "role": "user", "workflows": ["release"], "expires_in": "30d"},
    "RotateBody": {"overlap": 3600},
    "UserBody": {"email": "ana@example.com", "role": "user"},
    "UserChange": {"role": "viewer"},
    "SignalSent": {
        "signal_id": "payment-42",
        "execution_id": _RUN,
        "name": "paid",
        "is_new": True,
        "by": "ana@example.com",
    },
    "EventSent": {
        "event_id": "order-17",
        "name": "order.created",
        "started": [{"workflow_id": "ship", "execution_id": "event-ship-6b1f3c", "is_new": True}],
        "woken": [],
    },
    "Problem": {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": f"execution '{_RUN}' does not accept signals: it ended as SUCCESS",
        "code": "conflict",
        "details": {"execution_id": _RUN, "status": "SUCCESS"},
    },
}
"""Name of a schema -> an example of it."""


def add_examples(schemas: Mapping[str, dict[str, Any]]) -> None:
    """Add the examples to the schemas of an OpenAPI document."""
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
