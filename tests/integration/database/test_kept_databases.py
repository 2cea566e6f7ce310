"""Databases of every released revision: this version opens, upgrades, lists and finishes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.database.migrate import REVISIONS
from compozy.durable.format import JOURNAL_FORMAT
from tests.harness import kept
from tests.harness.processes import Commands
from tests.harness.stores import Store, open_store

pytestmark = pytest.mark.usefixtures("real_migrations")

KEPT = sorted(folder.name for folder in kept.FOLDER.iterdir())
ENDED = {"good": "SUCCESS", "bad": "FAILED", "canceled": "CANCELED"}
_RECORDED = (
    "SELECT workflow_uuid, function_id, function_name, output, error, completed_at_epoch_ms"
    " FROM {journal}operation_outputs ORDER BY 1, 2"
)


@pytest.fixture(params=[(revision, driver) for revision in KEPT for driver in ("sqlite", "postgres")])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return a project with a database of an earlier version."""
    revision, driver = request.param
    with open_store(driver, tmp_path / "project", migrated=False) as opened:
        kept.load(kept.FOLDER / revision, opened)
        yield opened


def test_databases_are_kept_from_the_first_revision_on() -> None:
    assert REVISIONS[0] in KEPT
    assert set(KEPT) <= set(REVISIONS)


def test_a_database_of_an_earlier_version_is_upgraded_and_finished(commands: Commands, store: Store) -> None:
    (revision,) = store.query("SELECT version_num FROM compozy_version")[0]
    assert _json(commands, store, "migrate", "status")["current"] == revision
    left = {row["status"] for row in _runs(store) if row["id"] in {"cut", "waiting"}}
    assert left == {"RUNNING", "PENDING"}
    recorded = store.query(_RECORDED)
    assert any(row[0] == "cut" for row in recorded)

    upgraded = commands.run(store.home, "migrate", "up")
    assert upgraded.status == 0, upgraded.err
    assert _json(commands, store, "migrate", "status")["pending"] == []
    listed = _json(commands, store, "workflow", "list")["executions"]
    assert {run["execution_id"] for run in listed} == {*ENDED, "cut", "waiting"}
    _check_ended(commands, store)
    _check_resumed(commands, store)

    # Recorded steps were neither repeated nor changed.
    assert set(recorded) <= set(store.query(_RECORDED))
    assert store.damage() == []


def test_a_first_start_upgrades_automatically(commands: Commands, store: Store) -> None:
    done = commands.run(store.home, "workflow", "run", "good", "--id", "new")
    assert done.status == 0, done.err
    assert _json(commands, store, "migrate", "status")["pending"] == []
    assert _json(commands, store, "workflow", "get", "good")["output"] == {"last": kept.RESPONSES["two"]["text"]}


def _check_ended(commands: Commands, store: Store) -> None:
    for run_id, status in ENDED.items():
        assert _json(commands, store, "workflow", "get", run_id)["status"] == status
    good = _json(commands, store, "workflow", "get", "good")
    assert good["input"] == {"name": "Ada \0 é 😀", "deep": [[[1.5, None, True]]]}
    assert good["output"] == {"last": kept.RESPONSES["two"]["text"]}
    assert good["usage"][0]["input_tokens"] == 3
    assert "boom" in _json(commands, store, "workflow", "get", "bad")["error"]["message"]


def _check_resumed(commands: Commands, store: Store) -> None:
    """Runs of this journal format end. Runs of another format are reported and left untouched."""
    formats = {row["format"] for row in _runs(store)}
    for run_id in ("cut", "waiting"):
        done = commands.run(store.home, "workflow", "get", run_id, "--wait", "--format", "json")
        assert done.status == 0, done.err
        run = json.loads(done.out)
        if formats == {JOURNAL_FORMAT}:
            assert (run["status"], run["output"]) == ("SUCCESS", {"all": "first late"})
            assert [(task["task_id"], task["status"]) for task in run["tasks"]] == [
                ("one", "SUCCESS"),
                ("late", "SUCCESS"),
            ]
            assert run["tasks"][0]["attempts"] == 1
        else:
            assert "Finish it with the version that started it." in done.err
    if formats == {JOURNAL_FORMAT}:
        assert store.query("SELECT executor_id FROM executors") == []


def _runs(store: Store) -> list[dict[str, Any]]:
    rows = store.query("SELECT workflow_exec_id, status, journal_format FROM workflow_states")
    return [dict(zip(("id", "status", "format"), row, strict=True)) for row in rows]


def _json(commands: Commands, store: Store, *arguments: str) -> Any:
    done = commands.run(store.home, *arguments, "--format", "json")
    assert done.err == ""
    return json.loads(done.out)
