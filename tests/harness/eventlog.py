"""Invariants of the event log of every run, however its processes ended."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from compozy.database.events import TASK_STATUS, WORKFLOW_STATUS
from compozy.database.status import FINAL
from tests.harness.stores import Store

_FINAL = {status.value for status in FINAL}


def find_log_errors(store: Store) -> list[str]:
    """Return the errors of the logs: gaps, ends that are logged twice or not at all, states that differ."""
    logs: defaultdict[str, list[tuple[str, str | None, Any]]] = defaultdict(list)
    faults: list[str] = []
    columns = "execution_id, seq, kind, path, data"
    for run_id, seq, kind, path, data in store.query(f"SELECT {columns} FROM execution_events ORDER BY 1, 2"):
        logs[run_id].append((kind, path, json.loads(data)))
        if seq != len(logs[run_id]):
            faults.append(f"{run_id}: number {seq} is the {len(logs[run_id])}. event")
    states = {
        (run, None): status for run, status in store.query("SELECT workflow_exec_id, status FROM workflow_states")
    }
    for run_id, key, status in store.query("SELECT workflow_exec_id, task_exec_id, status FROM task_states"):
        states[(run_id, key.removeprefix(f"{run_id}/"))] = status
    last: dict[tuple[str, str | None], str] = {}
    ends: Counter[tuple[str, str | None]] = Counter()
    for run_id, events in logs.items():
        for kind, path, data in events:
            if kind in {WORKFLOW_STATUS, TASK_STATUS}:
                last[run_id, path] = data["status"]
                ends[run_id, path] += data["status"] in _FINAL
    faults += [
        f"{key}: is {status}, logged {last.get(key)}" for key, status in states.items() if last.get(key) != status
    ]
    return faults + [f"{key}: {count} ends" for key, count in ends.items() if count > 1]
