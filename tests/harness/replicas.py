"""A primary PostgreSQL server and its standby, which a test promotes."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tests.harness.postgres import Postmaster, Server, make_roles

# Commits reach the log of each server, if not its disk: a killed process loses nothing.
_SETTINGS = {"synchronous_commit": "on"}
_STREAMS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = %s"


class Replicas:
    """A primary and a standby on this machine.

    Args:
        primary: the server with the data.
        standby: its standby.
        postmaster: of the primary.
    """

    def __init__(self, primary: Server, standby: Server, postmaster: Postmaster) -> None:
        self.primary, self.standby = primary, standby
        self._postmaster = postmaster

    def section(self, dbname: str) -> dict[str, Any]:
        """Return the section `database` of a compozy.yaml with both servers, the primary first."""
        servers = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        text = f"postgresql://compozy@{servers}/{dbname}?target_session_attrs=read-write"
        return {"driver": "postgres", "conn_string": text}

    def wait_for_standby(self) -> None:
        """Let each commit of the primary wait for the standby from here on."""
        with self.primary.connect() as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
            while admin.execute(_STREAMS, ("sync",)).fetchone() != (1,):
                time.sleep(0.02)

    def kill_primary(self) -> None:
        """Kill the primary with all its sessions at one moment."""
        self._postmaster.stop(signal.SIGKILL)

    def make_primary_read_only(self) -> None:
        """Let the primary refuse to write, and keep its connections open."""
        with self.primary.connect() as admin:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make the standby a primary, and wait until it accepts writes."""
        with self.standby.connect() as admin:
            assert admin.execute("SELECT pg_promote()").fetchone() == (True,)


@contextlib.contextmanager
def replicated_servers() -> Generator[Replicas, None, None]:
    """Run a primary and its standby for one test."""
    homes = [Path(tempfile.mkdtemp(prefix="compozy-pg-")) for _ in range(2)]
    started: list[Postmaster] = []
    try:
        started.append(Postmaster(homes[0], _SETTINGS))
        server = started[0].start()
        make_roles(server)
        started.append(Postmaster(homes[1], _SETTINGS, copy_of=started[0]))
        yield Replicas(server, started[1].start(), started[0])
    finally:
        for postmaster in reversed(started):
            postmaster.stop(signal.SIGQUIT)
        for home in homes:
            shutil.rmtree(home, ignore_errors=True)
