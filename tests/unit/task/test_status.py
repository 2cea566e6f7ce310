"""The end of a container: every strategy with every outcome of its tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.database.status import FINAL, Status
from compozy.task.options import Strategy
from compozy.task.status import container_status, progress_of

# Runs are moved, tasks are not.
_STATES = [status for status in Status if status is not Status.MOVED]
_ENDS = [status for status in FINAL if status is not Status.MOVED]
STRATEGIES: tuple[Strategy, ...] = ("wait_all", "fail_fast", "best_effort", "race")
LETTERS = dict(
    zip("sftcrpw", ["SUCCESS", "FAILED", "TIMED_OUT", "CANCELED", "RUNNING", "PENDING", "WAITING"], strict=True)
)
# The tasks, and the end of the container with wait_all, fail_fast, best_effort and race; `-` is not yet.
TABLE = """
.     s s s s
s     s s s s
ss    s s s s
f     f f f f
ff    f f f f
t     f f f f
c     c c c c
cc    c c c c
sf    f f s s
st    f f s s
sc    c c s s
fc    f f f f
tc    f f f f
sfc   f f s s
sr    - - - s
sp    - - - s
sw    - - - s
fr    - f - -
tp    - f - -
fw    - f - -
cr    - - - -
r     - - - -
p     - - - -
w     - - - -
sfr   - f - s
sfp   - f - s
scr   - - - s
fcr   - f - -
"""
ROWS = [line.split() for line in TABLE.split("\n") if line]


@pytest.mark.parametrize(("children", "ends"), [(row[0], row[1:]) for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_table(children: str, ends: list[str]) -> None:
    statuses = [Status(LETTERS[letter]) for letter in children if letter != "."]
    for strategy, end in zip(STRATEGIES, ends, strict=True):
        expected = None if end == "-" else Status(LETTERS[end])
        for order in (statuses, statuses[::-1]):
            assert container_status(strategy, order) is expected, strategy


@given(st.sampled_from(STRATEGIES), st.lists(st.sampled_from(_STATES), max_size=6), st.data())
def test_a_decision_is_final(strategy: Strategy, children: list[Status], data: st.DataObject) -> None:
    """It does not depend on the open tasks, which may therefore be canceled."""
    decided = container_status(strategy, children)
    ends = [status if status.is_final else data.draw(st.sampled_from(_ENDS)) for status in children]
    assert container_status(strategy, ends) is not None
    if decided is not None:
        assert container_status(strategy, ends) is decided
        canceled = [status if status.is_final else Status.CANCELED for status in children]
        assert container_status(strategy, canceled) is decided


@given(st.lists(st.sampled_from(_ENDS), max_size=20))
def test_progress_counts_every_task_once(children: list[Status]) -> None:
    found = progress_of(children)
    counts = [found[f"{name}_count"] for name in ("success", "failed", "canceled", "timed_out")]
    assert sum(counts) == found["total_children"] == found["terminal_count"] == len(children)
    assert 0 <= found["failure_rate"] <= 1
    assert 0 <= found["completion_rate"] <= 1
    has_failed = found["failed_count"] + found["timed_out_count"] > 0
    assert (found["overall_status"] == "completed") == (not has_failed)
