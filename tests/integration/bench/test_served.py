"""The benchmarks over HTTP run, and what they compare is the same work."""

from __future__ import annotations

from tests.bench import lists, watchers


def test_watched_runs() -> None:
    [pair] = watchers.measure(["file"], runs=6, watchers=3, rounds=1)
    # Each run was watched to its end.
    assert pair.ended == 6
    assert pair.ratio > 0


def test_lists_of_ten_thousand_executions() -> None:
    few, many = lists.measure(["file"], lists=30, posters=2)
    assert (few.executions, many.executions) == lists.LENGTHS
    # A page has the same size, however many executions are stored.
    assert 0 < many.kilobytes < 2 * few.kilobytes
