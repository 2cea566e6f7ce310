"""The states of a run and their transitions."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from compozy.database.executions import NewExecution, finish_execution, get_status, insert_execution
from compozy.database.status import FINAL, MOVES, OPEN, Status, may_follow, sources_of
from compozy.database.tables import metadata

STATUSES = st.sampled_from(Status)


@settings(deadline=None)
@given(before=STATUSES, after=STATUSES)
def test_a_final_state_stays_and_every_transition_is_in_the_table(before: Status, after: Status) -> None:
    assert may_follow(before, after) == (after in MOVES[before])
    assert not (before.is_final and may_follow(before, after))
    assert not may_follow(before, before)
    assert (before in sources_of(after)) == may_follow(before, after)


def test_the_states_are_divided_into_open_and_final() -> None:
    assert set(OPEN) | set(FINAL) == set(Status) == set(MOVES)
    assert set(FINAL) == {Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED, Status.MOVED}
    assert [status for status in Status if status.is_final] == list(FINAL)
    # Every open state leads to an end, and only an accepted run leaves PENDING.
    assert all(any(after.is_final for after in MOVES[before]) for before in OPEN)
    assert Status.SUCCESS not in MOVES[Status.PENDING]


@settings(deadline=None)
@given(ends=st.lists(st.sampled_from(FINAL), min_size=1, max_size=4), begun=st.booleans())
def test_the_first_end_of_a_run_decides(ends: list[Status], begun: bool) -> None:
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    new = NewExecution(workflow_exec_id="r", workflow_id="w", input={}, definition={}, journal_format=1)
    with engine.begin() as connection:
        insert_execution(connection, new, owner="me" if begun else None)
        status = Status.RUNNING if begun else Status.PENDING
        for number, end in enumerate(ends):
            changed = finish_execution(connection, "r", end, output=number)
            assert changed == may_follow(status, end)
            status = end if changed else status
            assert get_status(connection, "r") is status
    engine.dispose()
