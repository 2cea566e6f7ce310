"""SQLite: its file, the pragmas of each connection, refused locations; workflows on it and in memory."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database import sqlite
from compozy.database.database import Database, open_database, open_for_reading
from compozy.database.executions import get_execution, insert_execution
from compozy.database.migrate import migrate_up, read_status
from compozy.database.sqlite import file_system_of
from compozy.durable.journal import destroy_journal, launch_journal
from compozy.errors import DatabaseError
from compozy.storage import MEASURED_SQLITE_CONCURRENCY
from tests.conftest import RunCli
from tests.harness.databases import migrated, new_run, settings
from tests.harness.processes import NOBODY, Commands, other_process
from tests.harness.projects import WORKFLOWS, check_consistent, query, states, write_project
from tests.harness.servers import API, start_server

IS_ROOT = os.geteuid() == 0
PRAGMAS = ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")


def pragmas(connection: sa.Connection) -> dict[str, Any]:
    # A connection reads the journal mode with its first access.
    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}


def test_a_journal_of_any_python_works_with_this_sqlite(tmp_path: Path) -> None:
    """The engine on Python 3.12 and newer uses `unixepoch('subsec')`, which needs SQLite 3.42."""
    with migrated(tmp_path / "x.db") as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE t (at INTEGER NOT NULL DEFAULT (unixepoch('subsec') * 1000), n)")
            connection.exec_driver_sql("INSERT INTO t (n) VALUES (1)")
        with database.read() as connection:
            stored = connection.exec_driver_sql("SELECT at FROM t").scalar_one()
            now = connection.exec_driver_sql("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)").scalar_one()
    assert abs(now_ms() - now) < 10_000
    assert 0 <= now - stored < 10_000


@pytest.mark.parametrize("method", [open_database, open_for_reading])
def test_a_sqlite_that_is_too_old_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(DatabaseError) as caught:
        method(settings(tmp_path / "x.db"))
    assert f"uses SQLite {sqlite3.sqlite_version}; Compozy needs SQLite 3.37 or newer" in caught.value.message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1)])
def test_every_connection_has_the_pragmas(tmp_path: Path, synchronous: str, number: int) -> None:
    with migrated(tmp_path / "x.db", synchronous=synchronous, busy_timeout="1500ms") as database:
        expected = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 1500, "synchronous": number}
        with database.write() as connection:
            assert pragmas(connection) == expected
        readers = [database.readers.connect() for _ in range(4)]
        assert [pragmas(reader) for reader in readers] == [expected] * 4
        for reader in readers:
            assert reader.exec_driver_sql("PRAGMA query_only").scalar() == 1
            reader.close()


async def test_the_journal_uses_the_same_connections(tmp_path: Path) -> None:
    with migrated(tmp_path / "x.db") as database:
        launch_journal(database, "me")
        try:
            from dbos._dbos import _get_dbos_instance  # pyright: ignore[reportPrivateUsage] - what the engine uses

            engine = _get_dbos_instance()._sys_db.engine  # pyright: ignore[reportPrivateUsage] - as above
            assert engine.pool is database.engine.pool
            with engine.connect() as connection:
                found = pragmas(connection)
            assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000, "synchronous": 2}
        finally:
            destroy_journal()


def test_memory_is_one_database_for_the_process() -> None:
    database = open_database(settings(":memory:"))
    assert database.engine is database.readers
    assert database.owner_lock is None
    migrate_up(database)
    with database.write() as connection:
        assert pragmas(connection)["foreign_keys"] == 1
        insert_execution(connection, new_run("a"), owner=None)
    with database.read() as connection:
        assert get_execution(connection, "a").workflow_id == "w"
    database.close()
    assert open_for_reading(settings(":memory:")) is None


def test_folders_are_created_and_all_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a/ü b/c#?%41/x.db"
    before = os.umask(0)
    try:
        with migrated(path) as database:
            assert database.owner_lock is not None
            database.owner_lock.acquire({"pid": 1}, wait_s=0)
            with database.write() as connection:
                insert_execution(connection, new_run("a"), owner=None)
                files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            database.owner_lock.release()
    finally:
        os.umask(before)
    assert files == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm", "x.db.owner"), 0o600)


def test_reading_creates_no_database(tmp_path: Path) -> None:
    assert open_for_reading(settings(tmp_path / "a/x.db")) is None
    assert list(tmp_path.iterdir()) == []


def test_reading_an_empty_file_leaves_it_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    database = open_for_reading(settings(path))
    assert database is not None
    assert read_status(database).current == "base"
    database.close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("folder", "is a directory"),
        ("pipe", "is not a regular file"),
        ("below a file", "Not a directory"),
        ("too long", "File name too long"),
        ("link circle", "Too many levels of symbolic links"),
        ("dangling link", "cannot create the database"),
    ],
)
def test_locations_without_a_database(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "x.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "below a file":
        path.write_text("")
        path = path / "y.db"
    elif kind == "too long":
        path = tmp_path / ("x" * 300)
    elif kind == "link circle":
        path.symlink_to(path)
    else:
        path.symlink_to(tmp_path / "no/such/file.db")
    with pytest.raises(DatabaseError, match=message):
        open_database(settings(path))
    if kind not in {"below a file", "dangling link"}:
        with pytest.raises(DatabaseError, match=message):
            open_for_reading(settings(path))


def test_a_link_to_a_database_is_followed(tmp_path: Path) -> None:
    with migrated(tmp_path / "real/x.db") as database, database.write() as connection:
        insert_execution(connection, new_run("a"), owner=None)
    (tmp_path / "link.db").symlink_to(tmp_path / "real/x.db")
    with migrated(tmp_path / "link.db") as database, database.read() as connection:
        assert get_execution(connection, "a").workflow_exec_id == "a"


MOUNTS = """\
proc /proc proc rw 0 0
/dev/vda / ext4 rw 0 0
server:/x {share} nfs4 rw 0 0
//server/y {share}/with\\040blank\\134 cifs rw 0 0
tmpfs {share}/local tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("share/x.db", "nfs4"),
        ("share/deep/er/x.db", "nfs4"),
        ("share/with blank\\/x.db", "cifs"),
        ("share/local/x.db", "tmpfs"),
        ("shared/x.db", "ext4"),
        ("link/x.db", "nfs4"),
        ("share", "nfs4"),
    ],
)
def test_the_file_system_of_a_path(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(share=tmp_path / "share"))
    assert file_system_of(tmp_path / path, mounts) == kind
    assert file_system_of(tmp_path / path, tmp_path / "none") == ""


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_nfs(_: Path) -> str:
        return "nfs4"

    monkeypatch.setattr(sqlite, "file_system_of", on_nfs)
    path = tmp_path / "data/x.db"
    with pytest.raises(DatabaseError, match=r"is on a network file system \(nfs4\)") as caught:
        open_database(settings(path))
    assert "local disk" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# Permissions do not apply to root, so errors of ordinary users are tested in a process of such a user.


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that an ordinary user owns and can reach. The folder of pytest belongs to root."""
    folder = Path(tempfile.mkdtemp(prefix="compozy-test-"))
    if IS_ROOT:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    for below in (folder, *(item for item in folder.rglob("*") if item.is_dir())):
        below.chmod(0o700)
    shutil.rmtree(folder)


def try_as_user(path: str, result: str) -> None:
    """In another process: open the database and write down the message."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    answers: list[str] = []
    for opening in (open_database, open_for_reading):
        database: Database | None = None
        try:
            database = opening(settings(path), location="./x.db")
            answers.append("opened" if database is not None else "none")
        except DatabaseError as error:
            answers.append(error.message)
        finally:
            if database is not None:
                database.close()
    Path(result).write_text("\n".join(answers))


@pytest.mark.parametrize(
    ("what", "mode", "writing", "reading"),
    [
        ("nothing", 0o600, "opened", "opened"),
        ("file", 0o400, "no permission to write '{path}'", "opened"),
        ("file", 0o000, "cannot read the database '{path}': Permission denied", "Permission denied"),
        # A database at rest is read, although SQLite cannot create its files next to it.
        ("folder", 0o500, "no permission to write '{folder}'", "opened"),
        ("folder", 0o000, "the database path '{path}' cannot be used: Permission denied", "Permission denied"),
        ("parent of missing", 0o500, "cannot create the database '{path}': Permission denied", "none"),
    ],
)
def test_locations_without_permission(public_folder: Path, what: str, mode: int, writing: str, reading: str) -> None:
    folder = public_folder / "data"
    path = folder / "x.db"
    if what != "parent of missing":
        with migrated(path):
            pass
        # An ordinary database at rest, without a log file next to it.
        sqlite3.connect(path).close()
        if IS_ROOT:
            for item in (folder, path):
                os.chown(item, NOBODY, NOBODY)
    changed = {"file": path, "folder": folder, "parent of missing": public_folder, "nothing": path}[what]
    changed.chmod(mode)
    result = public_folder.with_name(public_folder.name + ".txt")
    result.touch()
    result.chmod(0o666)
    try:
        with other_process(try_as_user, str(path), str(result)) as process:
            process.join()
            assert process.exitcode == 0
        wrote, read = result.read_text().splitlines()
    finally:
        result.unlink()
    assert writing.format(path=path, folder=folder) in wrote
    assert reading in read


# Workflows on it.


def test_workflows_in_memory_leave_nothing(cli: RunCli, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    before = sorted(project.iterdir())
    for _ in range(2):
        assert cli("workflow", "run", "two", "--db-path", ":memory:").status == 0
    assert sorted(project.iterdir()) == before
    assert "No executions in :memory: yet." in cli("workflow", "list", "--db-path=:memory:").out


def test_a_hundred_concurrent_runs_encounter_no_lock(commands: Commands, tmp_path: Path) -> None:
    """As many as were measured. The seeds recommend at most ten."""
    count = MEASURED_SQLITE_CONCURRENCY
    runtime = {"max_concurrent_workflows": count, "log_level": "info"}
    folder = write_project(tmp_path / "p", {"two": WORKFLOWS["two"]}, runtime=runtime)
    server = start_server(commands, folder)

    def post(number: int) -> int:
        return server.ask("POST", f"{API}/workflows/two/executions", {"execution_id": f"r{number}"}).status

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(post, range(count))) == [202] * count
    server.command.until(lambda: states(folder) == [("SUCCESS", None)] * count)
    server.command.send(signal.SIGTERM)
    ended = server.command.wait()
    assert ended.status == 0
    assert "locked" not in ended.err
    assert query(folder, "SELECT count(*) FROM task_states WHERE attempts <> 1 OR status <> 'SUCCESS'") == [(0,)]
    check_consistent(folder)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="Linux lists locks there")
def test_opening_a_file_again_keeps_the_locks_of_its_connections(tmp_path: Path) -> None:
    """Closing any descriptor of a file releases all POSIX locks that the process has on it."""
    path = tmp_path / "x.db"
    with migrated(path) as database, database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM workflow_states")
        before = _locks_on(path)
        assert before
        for _ in range(2):
            other = open_for_reading(settings(path))
            assert other is not None
            other.close()
        open_database(settings(path)).close()
        assert _locks_on(path) == before


def _locks_on(path: Path) -> list[str]:
    """Return the POSIX locks of this process on a file, without their numbers."""
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    fields = [line.split()[1:] for line in lines]
    mine = [found for found in fields if found[0] == "POSIX" and found[3] == str(os.getpid())]
    return sorted(" ".join(found) for found in mine if found[4].endswith(f":{path.stat().st_ino}"))


def test_a_connection_that_cannot_be_set_up_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(DatabaseError):
        open_database(settings(path))
    gc.collect()
    with pytest.raises(DatabaseError) as caught:
        open_database(settings(path))
    if before:
        # The exception refers to the frames, which would refer to the connection.
        assert caught.value
        assert len(list(Path("/proc/self/fd").iterdir())) == before
