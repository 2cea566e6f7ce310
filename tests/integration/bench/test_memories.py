"""Reading a long conversation does not read all of it."""

from __future__ import annotations

from tests.bench.memories import LENGTHS, measure


def test_ten_thousand_messages_are_not_read_for_a_prompt() -> None:
    rows = measure(["file", "postgres"], times=3)
    assert [(row.kind, row.messages) for row in rows] == [
        (kind, length) for kind in ("file", "postgres") for length in LENGTHS
    ]
    # The latest turns are found with the same statements, and are the same.
    assert len({(row.sent, row.queries) for row in rows}) == 1
    assert 0 < rows[0].sent < min(LENGTHS)
    assert all(row.kilobytes > row.messages * 0.2 for row in rows)
