"""Old rows of every kind that `compozy db prune` deletes, in batches of few rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from threading import Barrier

import sqlalchemy as sa

from compozy.auth.accounts import create_user
from compozy.clock import now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database import memories
from compozy.database.costs import Spender, add_request
from compozy.database.database import Database, open_database
from compozy.database.executions import finish_execution, insert_execution
from compozy.database.memories import Message, append_messages, lock_memory, touch_memory
from compozy.database.sessions import insert_session
from compozy.database.status import Status
from compozy.database.webhook_deliveries import WebhookDelivery, insert_delivery
from compozy.transfer import prune, prune_others
from tests.harness.databases import new_run

# Few rows make several batches.
AT_ONCE = 2
TABLES = ("workflow_states", "webhook_deliveries", "memories", "sessions")
_MODELS = ("a", "b", "c")
_PATIENCE_S = 300
_DAY_MS = 86_400_000


def fill_with_old_rows(database: Database, old: int) -> None:
    """Store `old` rows of each kind that can be deleted, and one of each that must stay."""
    now = now_ms()
    with database.write() as connection:
        user: str = create_user(connection, email="ana@example.com", role="user")["user_id"]
        for number in range(old + 1):
            kept = number == old
            _insert_run(connection, number, is_open=kept)
            insert_delivery(connection, _delivery(number, created_ms=now + _DAY_MS if kept else 1000))
            insert_session(connection, f"s{number}", user, now_ms=0, expires_ms=now + _DAY_MS if kept else now - 1)
            memory = lock_memory(connection, "chat", f"k{number}")
            append_messages(connection, memory, [Message(role="user", content="x", tokens=1)] * 2, ttl_ms=None)
            touch_memory(connection, memory, ttl_ms=None if kept else -1)


def _insert_run(connection: sa.Connection, number: int, *, is_open: bool) -> None:
    run_id = f"r{number}"
    insert_execution(connection, new_run(run_id), owner=None if is_open else "a process")
    # In another order in every run.
    for model in (*_MODELS[number % 3 :], *_MODELS[: number % 3]):
        usage = {"provider": "p", "model": model, "requests": 1, "cost_micros": 7}
        add_request(connection, Spender(execution_id=run_id, path="t", workflow_id="w"), usage)
    if not is_open:
        finish_execution(connection, run_id, Status.SUCCESS)


def _delivery(number: int, *, created_ms: int) -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id=f"D{number}",
        slug="orders",
        created_ms=created_ms,
        outcome="accepted",
        status=202,
        body_sha256="0",
        body_size=2,
        details={},
        body="e30=",
    )


def prune_all(settings: DatabaseSettings, *, before: Callable[[], object] = lambda: None) -> list[int]:
    """Delete all old rows in this process, and return the numbers of deleted ones in the order of `TABLES`."""
    # Constants to those who read them.
    for module, name in ((prune, "_AT_ONCE"), (prune_others, "_AT_ONCE"), (memories, "_PRUNED_AT_ONCE")):
        setattr(module, name, AT_ONCE)
    with contextlib.closing(open_database(settings)) as database:
        before()
        others = prune_others.prune_others(database, now_ms())
        runs = prune.prune_runs(database, now_ms() + 1)
    return [runs, others.deliveries, others.conversations, others.sessions]


def prune_together(settings: DatabaseSettings, barrier: Barrier, results: SimpleQueue[list[int]]) -> None:
    """Delete all old rows when all processes of the barrier do, and report the numbers."""
    results.put(prune_all(settings, before=lambda: barrier.wait(_PATIENCE_S)))


def count_rows(database: Database, old: int) -> list[int]:
    """Return the numbers of rows of `TABLES`, and check that conversations and the sums of costs are complete."""
    with database.read() as connection:
        counts = [int(connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in TABLES]
        messages = connection.execute(sa.text("SELECT count(*) FROM memory_messages")).scalar_one()
        spent = connection.execute(sa.text("SELECT model, sum(requests), sum(cost_micros) FROM model_costs GROUP BY 1"))
        sums = sorted((str(model), int(requests), int(cost)) for model, requests, cost in spent)
    assert messages == 2 * counts[TABLES.index("memories")]
    assert sums == [(model, old + 1, 7 * (old + 1)) for model in _MODELS]
    return counts
