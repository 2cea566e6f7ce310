"""`compozy doctor`: each kind of problem has one line, a hint, and an exit code for scripts."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from compozy.database.driver import Inspection
from compozy.database.owner import OwnerLock
from compozy.database.postgres_inspect import inspect_server
from compozy.project.load import load_project
from compozy.storage import connections_danger
from compozy.upkeep.doctor import Grade, judge_space
from compozy.upkeep.doctor_database import judge_clock
from tests.conftest import RunCli
from tests.harness.chatserver import error_reply, json_reply, serve_chat
from tests.harness.databases import migrated
from tests.harness.postgres import new_database
from tests.harness.projects import query, write_project
from tests.harness.stores import open_store

DRIVERS = ("sqlite", "postgres")


def _ask(cli: RunCli, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = cli("doctor", "--format", "json", *arguments)
    document = json.loads(done.out)
    assert document["healthy"] is (done.status == 0)
    return done.status, document["checks"]


def _of(checks: list[dict[str, Any]], name: str) -> list[tuple[str, str]]:
    return [(check["status"], check["message"]) for check in checks if check["name"] == name]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_sound_project_has_no_errors(cli: RunCli, tmp_path: Path, driver: str) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(tmp_path, database=store.section)
        assert cli("workflow", "run", "two").status == 0
        status, checks = _ask(cli, "--deep")
    assert status == 0
    assert {check["name"] for check in checks} >= {"versions", "configuration", "database", "runs", "disk", "server"}
    assert ("ok", "compozy.yaml is valid: project 'demo', 4 workflows") in _of(checks, "configuration")
    assert ("ok", "no unfinished runs, and no process executes runs") in _of(checks, "runs")
    [location, *_] = [message for _, message in _of(checks, "database")]
    assert {"sqlite": "SQLite 3", "postgres": "PostgreSQL 1"}[driver] in location
    assert any("the journal has no run that the tables lack" in message for _, message in _of(checks, "database"))
    assert bool(_of(checks, "clock")) is (driver == "postgres")


def test_a_new_project_without_a_database_does_not_get_one(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    done = cli("doctor")
    assert done.status == 0
    assert "✓ database: ./data/compozy.db does not exist yet; the first run creates it" in done.out
    assert done.out.endswith("No problems found\n")
    assert not (tmp_path / "data").exists()


def test_errors_of_files_are_listed_and_the_database_is_checked_nevertheless(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "workflows/two.yaml").write_text("id: two\ntasks:\n  - id: x\n    promptt: hi\n")
    done = cli("doctor")
    assert done.status == 5
    assert "✗ configuration: workflows/two.yaml:4:5: unknown key 'promptt' in task 'x' (did you mean" in done.out
    assert "✓ database: " in done.out
    (tmp_path / "compozy.yaml").write_text("name: [demo\n")
    status, checks = _ask(cli)
    assert status == 5
    assert checks[-1]["status"] == "skipped"


def test_a_folder_without_a_project_is_an_error_of_the_command_line(cli: RunCli) -> None:
    done = cli("doctor")
    assert done.status == 2
    assert "no compozy.yaml" in done.err


def test_a_database_that_cannot_be_used_has_the_exit_code_of_databases(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/compozy.db").write_bytes(b"not a database" * 100)
    status, checks = _ask(cli)
    assert status == 4
    [(grade, message)] = _of(checks, "database")
    assert grade == "error"
    assert "compozy.db" in message


def test_an_unreachable_server_of_postgresql_has_the_exit_code_of_databases(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, database={"driver": "postgres", "host": "127.0.0.1", "port": 1, "user": "u", "dbname": "d"})
    status, checks = _ask(cli)
    assert status == 4
    assert [grade for grade, _ in _of(checks, "database")] == ["error"]


def test_pending_migrations_are_a_warning_unless_no_start_applies_them(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path)
    assert cli("migrate", "up").status == 0
    assert cli("migrate", "down", "--yes").status == 0
    status, checks = _ask(cli)
    assert status == 0
    assert ("warning", "1 pending migration, applied by the next start") in _of(checks, "database")
    monkeypatch.setenv("DB_AUTO_MIGRATE", "false")
    status, checks = _ask(cli)
    assert status == 4
    assert ("error", "1 pending migration and database.auto_migrate is off") in _of(checks, "database")


def test_unfinished_runs_that_no_process_executes_are_named(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("workflow", "run", "two").status == 0
    with migrated(tmp_path / "data/compozy.db") as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE workflow_states SET status = 'RUNNING'")
    assert query(tmp_path, "SELECT status FROM workflow_states") == [("RUNNING",)]
    _, checks = _ask(cli)
    assert _of(checks, "runs") == [("warning", "1 unfinished run, and no process executes runs")]
    lock = OwnerLock(tmp_path / "data/compozy.db")
    lock.acquire({"pid": 4711, "command": "compozy workflow run"}, wait_s=0.0)
    try:
        _, checks = _ask(cli)
    finally:
        lock.release()
    assert _of(checks, "runs") == [("ok", "1 unfinished run; executed by process 4711 (compozy workflow run)")]


def test_a_database_of_another_project_is_an_error(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("workflow", "run", "two").status == 0
    write_project(tmp_path, name="other")
    status, checks = _ask(cli)
    assert status == 4
    assert any("demo" in message for grade, message in _of(checks, "database") if grade == "error")


def test_a_port_that_is_in_use_is_a_warning(cli: RunCli, tmp_path: Path, port_of_file: None) -> None:
    # It does not listen, so that commands find no server at this port.
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        write_project(tmp_path, server={"port": port})
        status, checks = _ask(cli)
    assert status == 0
    [(grade, message)] = _of(checks, "server")
    assert grade == "warning"
    assert f"port {port} is in use" in message


def test_a_server_for_other_machines_needs_a_key(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, server={"host": "0.0.0.0"})
    status, checks = _ask(cli)
    assert status == 2
    assert any("server.api_key is not set" in message for _, message in _of(checks, "server"))


@pytest.mark.parametrize(
    ("reply", "grade", "words"),
    [
        (json_reply({"data": []}), "ok", "accepts the API key"),
        (error_reply(401, "bad key"), "error", "the API key is refused (HTTP 401"),
        (error_reply(500, "boom"), "error", "unexpected answer (HTTP 500"),
    ],
)
def test_keys_are_asked_for_only_when_wanted(cli: RunCli, tmp_path: Path, reply: Any, grade: str, words: str) -> None:
    with serve_chat() as server:
        server.replies.append(reply)
        provider = {"id": "p", "type": "openai", "base_url": server.url, "api_key": "sk-canary-0123456789"}
        write_project(tmp_path, llm={"providers": [provider]})
        assert not _of(_ask(cli)[1], "keys")
        assert not server.seen
        done = cli("doctor", "--format", "json", "--keys")
        [seen] = server.seen
    assert seen.headers["authorization"] == "Bearer sk-canary-0123456789"
    [(told, message)] = _of(json.loads(done.out)["checks"], "keys")
    assert told == grade
    assert words in message
    assert "canary" not in done.out + done.err


def test_a_provider_that_cannot_be_reached_is_an_error(cli: RunCli, tmp_path: Path) -> None:
    provider = {"id": "p", "type": "ollama", "base_url": "http://127.0.0.1:1/v1"}
    write_project(tmp_path, llm={"providers": [provider]})
    status, checks = _ask(cli, "--keys")
    assert status == 1
    [(grade, message)] = _of(checks, "keys")
    assert grade == "error"
    assert "http://127.0.0.1:1/v1/models cannot be reached" in message


def test_a_key_that_is_not_set_is_a_warning(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, llm={"providers": [{"id": "p", "type": "openai", "api_key": "${OPENAI_API_KEY}"}]})
    _, checks = _ask(cli)
    assert _of(checks, "keys") == [("warning", "provider 'p' has no API key: OPENAI_API_KEY is not set")]


def test_free_space_has_two_limits() -> None:
    grades = [judge_space(free, ".").grade for free in (2 << 30, 1 << 30, (1 << 30) - 1, 100 << 20, (100 << 20) - 1, 0)]
    assert grades == [Grade.ok, Grade.ok, Grade.warning, Grade.warning, Grade.error, Grade.error]


@pytest.mark.parametrize(
    ("server_ms", "grade", "words"),
    [
        (10_000, Grade.ok, "agree"),
        (8_100, Grade.ok, "agree"),
        (3_000, Grade.warning, "7.0 s ahead of"),
        (20_000, Grade.warning, "9.5 s behind"),
    ],
)
def test_a_clock_is_compared_with_the_time_of_the_query(server_ms: int, grade: Grade, words: str) -> None:
    check = judge_clock(server_ms, 10_000, 10_500)
    assert check.grade is grade
    assert words in check.message


def test_dangerous_settings_of_postgresql_are_named() -> None:
    with new_database() as place, migrated(place) as database, database.read() as connection:
        inspection = inspect_server(connection, is_several=False)
    dangers = " ".join(words for words, _ in inspection.dangers)
    # The server of these tests runs without both, for speed.
    assert "fsync is off" in dangers
    assert "synchronous_commit is off" in dangers
    # 300, of which 3 are reserved for superusers.
    assert inspection.max_connections == 297


@pytest.mark.parametrize(
    ("each", "processes", "words"),
    [
        (25, 4, None),
        (50, 2, None),
        (101, 1, "each process can open 101 connections, but the server accepts 100 in total"),
        (51, 2, "2 server processes can open 102 connections, 51 each, but the server accepts 100 in total"),
    ],
)
def test_too_many_connections_are_a_danger(tmp_path: Path, each: int, processes: int, words: str | None) -> None:
    database = {"driver": "postgres", "host": "localhost", "dbname": "d", "max_open_conns": each, "max_idle_conns": 1}
    write_project(tmp_path, database=database, server={"processes": processes})
    project = load_project(None, cwd=tmp_path, environ={})
    danger = connections_danger(project, Inspection(version="PostgreSQL 17", max_connections=100))
    assert (danger and danger[0]) == words


@pytest.mark.parametrize("driver", DRIVERS)
def test_runs_of_another_journal_format_are_counted(cli: RunCli, tmp_path: Path, driver: str) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(tmp_path, database=store.section)
        assert cli("workflow", "run", "two", "--id", "done").status == 0
        store.change(
            "UPDATE workflow_states SET status = 'RUNNING', owner = NULL, finished_ms = NULL, journal_format = 99"
        )
        status, checks = _ask(cli)
    message = "1 unfinished run of journal format 99 cannot be continued by this version, whose format is 1"
    assert (status, ("warning", message) in _of(checks, "runs")) == (0, True), checks
