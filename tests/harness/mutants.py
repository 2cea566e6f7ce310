"""Mutants of the program, in the memory of a forked child, which the chaos tests must detect.

Each mutant is a bug that an engine like this one could have. All but the last have an effect only if a process dies at
a bad moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa


def forget_answers() -> None:
    """Hide recorded model answers, and the ends of their tasks, from a resumed run."""
    from compozy.durable.context import Recorded, RunContext

    take, is_recorded = RunContext.take, RunContext.is_recorded
    hidden = (".model.request", ".end")

    def forgetful(self: RunContext, name: str) -> Recorded | None:
        found = take(self, name)
        return None if name.endswith(hidden) else found

    def denied(self: RunContext, name: str) -> bool:
        return not name.endswith(hidden) and is_recorded(self, name)

    _replace(RunContext, "take", forgetful)
    _replace(RunContext, "is_recorded", denied)


def journal_first() -> None:
    """Commit the journal before the tables: two commits instead of one."""
    from compozy.durable import step

    record = step._record  # pyright: ignore[reportPrivateUsage] - it is what is broken here

    async def apart(context: Any, name: str, change: Callable[[Any], Any], *, is_seen_through: bool) -> Any:
        if not is_seen_through:
            return await record(context, name, change, is_seen_through=False)

        def report_changes(connection: sa.Connection) -> Any:
            # The result of the change is needed, but its writes are undone.
            with connection.begin_nested() as attempt:
                result = change(connection)
                attempt.rollback()
            return result

        result = await record(context, name, report_changes, is_seen_through=True)
        await asyncio.to_thread(_in_transaction, context, change)
        return result

    _replace(step, "_record", apart)


def tables_first() -> None:
    """Commit the tables before the journal: two commits instead of one."""
    from compozy.durable import step

    record = step._record  # pyright: ignore[reportPrivateUsage] - it is what is broken here

    async def apart(context: Any, name: str, change: Callable[[Any], Any], *, is_seen_through: bool) -> Any:
        if is_seen_through:
            result = await asyncio.to_thread(_in_transaction, context, change)
            return await record(context, name, lambda _: result, is_seen_through=True)
        return await record(context, name, change, is_seen_through=False)

    _replace(step, "_record", apart)


def steal_runs() -> None:
    """Let a process claim runs that have an owner."""
    from compozy.database import claims
    from compozy.database.tables import workflow_states

    is_unowned = str(workflow_states.c.owner.is_(None))
    for name in ("_IS_FREE", "_IS_UNCLAIMED"):
        guards: tuple[sa.ColumnElement[bool], ...] = getattr(claims, name)
        _replace(claims, name, tuple(guard for guard in guards if str(guard) != is_unowned))


MUTANTS: dict[str, Callable[[], None]] = {
    "forget-answers": forget_answers,
    "journal-first": journal_first,
    "tables-first": tables_first,
    "steal-runs": steal_runs,
}


def _in_transaction(context: Any, change: Callable[[Any], Any]) -> Any:
    with context.writer._database.write() as connection:
        return change(connection)


def _replace(owner: object, name: str, value: object) -> None:
    assert getattr(owner, name) is not value
    setattr(owner, name, value)
