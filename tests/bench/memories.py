"""Measures reading and appending in conversations of different lengths: `python -m tests.bench.memories`.

An agent reads the latest turns that fit 4000 tokens, so that the length of the conversation must not matter. The ratio
compares 10,000 messages with 100, in one process. `queries` and `rows` are those of one reading.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from compozy.database.database import Database
from compozy.database.memories import Message, append_messages, lock_memory
from compozy.memory import operations
from compozy.memory.config import MemoryOptions
from compozy.memory.session import new_message
from tests.bench.measured import KINDS, measured_server, new_place
from tests.bench.report import Row, add_json, compare, report

LENGTHS = (100, 10_000)
_TEXT = "The order has not arrived yet, and I would like to know when it will. " * 3
_OPTIONS = MemoryOptions(type="token_based", max_tokens=4000)
_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The medians of one conversation.

    Attributes:
        sent: messages that an agent is sent.
        queries: statements of one reading.
        all_ms: time to read all messages.
        kilobytes: size of the stored texts.
    """

    kind: str
    messages: int
    sent: int
    queries: int
    read_ms: float
    append_ms: float
    all_ms: float
    kilobytes: float


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["file", "postgres"], help="databases")
    parser.add_argument("--times", type=int, default=50, help="repetitions of each measurement")
    add_json(parser)
    arguments = parser.parse_args()
    rows = measure(arguments.kinds, arguments.times)
    compared: list[Row] = []
    for kind in arguments.kinds:
        few, many = (asdict(row) for row in rows if row.kind == kind)
        counts = {"few": few["messages"], "many": many["messages"], "sent": many["sent"], "queries": many["queries"]}
        times = compare(few, many, "read_ms", "append_ms", "all_ms")
        compared.append({"database": kind, **counts, **times, "kilobytes": round(many["kilobytes"])})
    report(compared, arguments.json)


def measure(kinds: Sequence[str], times: int) -> list[Measured]:
    """Return the measurements of each kind of database, for each length."""
    rows: list[Measured] = []
    with measured_server(list(kinds)) as server:
        for kind in kinds:
            with new_place(kind, server) as database:
                for length in LENGTHS:
                    _fill(database, str(length), length)
                rows += [_measure(database, kind, length, times) for length in LENGTHS]
    return rows


def _fill(database: Database, key: str, length: int) -> None:
    made = [new_message(("user", "assistant")[number % 2], _TEXT, _OPTIONS) for number in range(length)]
    messages: list[Message] = [message for message in made if message is not None]
    for start in range(0, length, _AT_ONCE):
        with database.write() as connection:
            memory = lock_memory(connection, "bench", key)
            append_messages(connection, memory, messages[start : start + _AT_ONCE], ttl_ms=None)


def _measure(database: Database, kind: str, length: int, times: int) -> Measured:
    key = str(length)
    look = partial(operations.read, memory_id="bench", key=key, limits=_OPTIONS.limits(None))
    whole = partial(operations.read, memory_id="bench", key=key)
    with database.read() as connection:
        sent, queries = _counted(connection, look)
        read_ms = _median_ms(lambda: look(connection), times)
        all_ms = _median_ms(lambda: whole(connection), max(1, times // 10))
        content = sa.text("SELECT sum(length(content)) FROM memory_messages WHERE memory_key = :key")
        size = int(connection.execute(content, {"key": key}).scalar_one())
    append_ms = _median_ms(lambda: _append(database, key), times)
    return Measured(
        kind=kind,
        messages=length,
        sent=sent,
        queries=queries,
        read_ms=read_ms,
        append_ms=append_ms,
        all_ms=all_ms,
        kilobytes=size / 1000,
    )


def _append(database: Database, key: str) -> None:
    """Add a turn without trimming, so that the length stays comparable."""
    turn = [Message(role=role, content=_TEXT, tokens=1) for role in ("user", "assistant")]
    with database.write() as connection:
        append_messages(connection, lock_memory(connection, "bench", key), turn, ttl_ms=None)


def _counted(connection: sa.Connection, look: Callable[[sa.Connection], dict[str, Any]]) -> tuple[int, int]:
    """Return the number of messages that are read, and of the statements that read them."""
    queries: list[str] = []

    def count(*arguments: Any) -> None:
        queries.append(str(arguments[2]))

    event.listen(connection, "before_cursor_execute", count)
    try:
        return look(connection)["count"], len(queries)
    finally:
        event.remove(connection, "before_cursor_execute", count)


def _median_ms(call: Callable[[], Any], times: int) -> float:
    taken: list[float] = []
    for _ in range(times):
        began_s = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began_s) * 1000)
    return sorted(taken)[len(taken) // 2]


if __name__ == "__main__":
    main()
