"""The benchmarks over HTTP run, and what they compare is the same work."""

from __future__ import annotations

from tests.bench import lists, watchers


def test_watched_runs() -> None:
    # A stream that is not the whole log of its run is an error.
    [pair] = watchers.measure("file", tasks=3, watchers=4, rounds=1)
    assert pair.ratio > 0
    assert pair.watched.processor_ms > 0


def test_lists_of_ten_thousand_executions() -> None:
    few, many = lists.measure(["file"], lists=30, posters=2)
    assert (few.executions, many.executions) == lists.LENGTHS
    # A page has the same size, however many executions are stored.
    assert 0 < many.kilobytes < 2 * few.kilobytes
