"""Several processes that delete old rows concurrently, on both databases."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack

from compozy.database.database import Database
from tests.harness.processes import other_process
from tests.harness.pruning import TABLES, count_rows, fill_with_old_rows, prune_together

_OLD = 41


def test_concurrent_processes_delete_every_row_once(database: Database) -> None:
    fill_with_old_rows(database, _OLD)
    forks = multiprocessing.get_context("forkserver")
    barrier, results = forks.Barrier(3), forks.SimpleQueue()
    with ExitStack() as stack:
        # Longer than a busy machine stops a process that has the lock of SQLite.
        settings = database.settings.model_copy(update={"busy_timeout": 120.0})
        arguments = (settings, barrier, results)
        pruning = [stack.enter_context(other_process(prune_together, *arguments)) for _ in range(3)]
        for process in pruning:
            process.join()
        assert [process.exitcode for process in pruning] == [0, 0, 0]
    deleted: list[list[int]] = [results.get() for _ in pruning]
    assert [sum(numbers) for numbers in zip(*deleted, strict=True)] == [_OLD] * len(TABLES)
    assert count_rows(database, _OLD) == [1] * len(TABLES)
