"""Random histories, moved to another database and back: the stored rows are the same, byte for byte."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tables import metadata
from compozy.transfer.load import delete_runs
from compozy.transfer.sections import Section, list_sections
from tests.harness.examples import examples
from tests.harness.moves import body, export, load, ready, rows_of

_KINDS = ("basic", "parallel", "collection", "composite", "router", "aggregate", "wait", "signal")
_INT64 = st.integers(-(2**63), 2**63 - 1)
_MOMENT = st.integers(0, 253_402_214_400_000)
# Names contain neither NUL nor surrogate halves; JSON may.
_NAME = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12)
_TEXT = st.text(max_size=20) | st.sampled_from(["\0", "\ud800", "é\udfff", "😀" * 9, "\u2028", '"\\/', "\x1f", ""])
_NUMBER = st.floats(allow_nan=False, allow_infinity=False) | _INT64 | st.integers(-(10**40), 10**40)
_LEAF = st.none() | st.booleans() | _NUMBER | _TEXT
_JSON = st.recursive(_LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3))


def _deep(levels: int) -> Any:
    value: Any = 1
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


_STORED = _JSON | st.just(_deep(90))


@st.composite
def _history(draw: st.DrawFn, number: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of one run by section."""
    run_id = f"{number}-{draw(st.sampled_from(['a', 'Z', '_', '.']))}"
    status = draw(st.sampled_from([status for status in Status if status is not Status.MOVED]))
    origin = draw(st.none() | st.just({"database": "elsewhere", "exported_at": "2026-01-01T00:00:00.000Z"}))
    run: dict[str, Any] = {
        "workflow_exec_id": run_id,
        "workflow_id": draw(_NAME),
        "status": status.value,
        "owner": None,
        "journal_format": draw(st.integers(0, 9)),
        "parent_exec_id": None,
        **{name: draw(_STORED) for name in ("input", "output", "error")},
        "usage": draw(st.none() | st.lists(_JSON, max_size=2)),
        "definition": {"workflow": draw(_STORED)},
        **{name: draw(st.none() | _MOMENT) for name in ("started_ms", "finished_ms", "deadline_ms")},
        **{name: draw(_MOMENT) for name in ("created_ms", "updated_ms")},
        "requested": None,
        "wake_ms": None,
        "rerun_of": draw(st.none() | _NAME),
        "kept": draw(st.none() | st.dictionaries(_TEXT, _JSON, max_size=2)),
        # Like an unused copy: its runs arrive unchanged.
        "origin": origin if status is Status.PAUSED else None,
        "moved": None,
        **{name: draw(st.none() | _NAME) for name in ("trigger_type", "trigger_id", "started_by", "traceparent")},
    }
    labels = [
        {"execution_id": run_id, "name": name, "value": draw(_NAME)}
        for name in draw(st.lists(_NAME, max_size=2, unique=True))
    ]
    tasks = [_task(draw, run_id, position) for position in range(draw(st.integers(0, 3)))]
    signals = [
        {
            "signal_id": f"{run_id}-{place}",
            "workflow_exec_id": run_id,
            "name": draw(_NAME),
            "payload": draw(_STORED),
            "sent_by": draw(st.none() | _NAME),
            "created_ms": draw(_MOMENT),
            "taken_by": draw(st.none() | _NAME),
            "taken_ms": draw(st.none() | _MOMENT),
        }
        for place in range(draw(st.integers(0, 2)))
    ]
    return {
        "workflow_states": [run],
        "task_states": tasks,
        "signals": signals,
        "execution_labels": labels,
        **_journal(draw, run_id),
    }


def _task(draw: st.DrawFn, run_id: str, position: int) -> dict[str, Any]:
    return {
        "task_exec_id": f"{run_id}/{'a/' * position}{draw(_NAME)}",
        "workflow_exec_id": run_id,
        "workflow_id": "w",
        "task_id": draw(_NAME),
        "position": position,
        "execution_type": draw(st.sampled_from(_KINDS)),
        "status": draw(st.sampled_from([status for status in Status if status is not Status.MOVED])).value,
        "parent_state_id": None,
        "attempts": draw(st.integers(0, 2**40)),
        **{name: draw(_STORED) for name in ("input", "output", "error")},
        "usage": None,
        "created_ms": draw(_MOMENT),
        "started_ms": draw(st.none() | _MOMENT),
        "finished_ms": draw(st.none() | _MOMENT),
        "updated_ms": draw(_MOMENT),
        "waits_for": draw(st.none() | _NAME),
    }


def _journal(draw: st.DrawFn, run_id: str) -> dict[str, list[dict[str, Any]]]:
    status = {
        "workflow_uuid": run_id,
        "status": draw(st.sampled_from(["PENDING", "ENQUEUED", "SUCCESS", "ERROR", "CANCELLED"])),
        "name": "compozy.run",
        "created_at": draw(_MOMENT),
        "updated_at": draw(_MOMENT),
        "priority": draw(st.integers(0, 2**31 - 1)),
        "was_forked_from": draw(st.booleans()),
        "rate_limited": draw(st.booleans()),
        "is_debounced": draw(st.booleans()),
        "queue_name": draw(st.none() | _NAME.map("resume-{}".format)),
        "recovery_attempts": draw(st.none() | _INT64),
    }
    steps = [
        {
            "workflow_uuid": run_id,
            "function_id": number,
            "function_name": draw(_NAME),
            "output": draw(st.none() | _NAME),
            "retention_timestamp": draw(_MOMENT),
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    return {"journal.workflow_status": [status], "journal.operation_outputs": steps}


# The property test is inside it, where Hypothesis does not mark it by itself.
@pytest.mark.hypothesis
@pytest.mark.parametrize("drivers", [("sqlite", "postgres"), ("postgres", "sqlite")], ids="-to-".join)
def test_a_move_there_and_back_keeps_every_byte(tmp_path: Path, drivers: tuple[str, str]) -> None:
    numbers = count()
    with ready(drivers[0], tmp_path / "a") as source, ready(drivers[1], tmp_path / "b") as target:

        @settings(
            max_examples=examples(test=12, proof=40),
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            phases=[Phase.explicit, Phase.generate],
        )
        @given(data=st.data())
        def check(data: st.DataObject) -> None:
            # An example that failed left rows behind.
            _empty(source)
            _empty(target)
            histories = [data.draw(_history(next(numbers))) for _ in range(data.draw(st.integers(0, 4)))]
            _store(source, histories)
            before = rows_of(source)
            first = export(source)
            load(target, first)
            second = export(target)
            assert body(second) == body(first)
            _empty(source)
            load(source, second)
            assert body(export(source)) == body(first)
            _same_but_for_open_runs(before, rows_of(source))

        check()


def _store(database: Database, histories: list[dict[str, list[dict[str, Any]]]]) -> None:
    with database.write() as connection:
        for history in histories:
            for section in list_sections(database):
                if rows := history.get(section.name):
                    connection.execute(sa.insert(section.table), rows)


def _empty(database: Database) -> None:
    sections: list[Section] = list(list_sections(database))
    with database.write() as connection:
        ids = connection.execute(sa.select(metadata.tables["workflow_states"].c.workflow_exec_id)).scalars().all()
        delete_runs(connection, sections, ids)


def _same_but_for_open_runs(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, rows in before.items():
        if name != "workflow_states":
            assert sorted(map(repr, rows)) == sorted(map(repr, after[name])), name
    ended = [repr(row) for row in before["workflow_states"] if Status(row["status"]).is_final]
    assert sorted(ended) == sorted(repr(row) for row in after["workflow_states"] if Status(row["status"]).is_final)
