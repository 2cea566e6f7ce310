"""A newer version of the program: a copy of its source with another journal format or one more migration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from compozy.database.migrate import REVISIONS
from compozy.durable.format import JOURNAL_FORMAT
from tests.harness.servers import ask

_SOURCE = Path(__file__).parents[2] / "src"
_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()"]
_LOOK_S = 0.05

NEW_REVISION = f"{int(REVISIONS[-1]) + 1:04}"
NEW_FORMAT = JOURNAL_FORMAT + 1
_MIGRATION = f'''\
"""A column that older versions do not know.

Revision ID: {NEW_REVISION}
Revises: {REVISIONS[-1]}
"""

from alembic import op

revision = "{NEW_REVISION}"
down_revision = "{REVISIONS[-1]}"
branch_labels = None
depends_on = None
deletes = ()
deletes_journal = False


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE workflow_states ADD COLUMN added TEXT NOT NULL DEFAULT 'new'")


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE workflow_states DROP COLUMN added")
'''


class Version:
    """The program in one version, and the processes that were started with it.

    Args:
        source: the folder with its package.
    """

    def __init__(self, source: Path = _SOURCE) -> None:
        self._source = source
        self.processes: list[Process] = []

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in `folder` to its end."""
        environ = self._environ()
        return subprocess.run(
            [*_COMMAND, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )

    def start(self, folder: Path, *arguments: str, port: int) -> Process:
        """Start a server or a worker of the project in `folder`, and wait until it executes runs."""
        process = Process([*_COMMAND, *arguments, f"--port={port}"], folder, self._environ(), port)
        self.processes.append(process)
        process.until_ready()
        return process

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self._source)}


class Process:
    """A server or a worker that answers probes on `port`."""

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str], port: int) -> None:
        self.port = port
        self._log = folder / f"log-{port}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Return the process ID."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Return its output."""
        return self._log.read_text(encoding="utf-8")

    def until_ready(self) -> None:
        """Wait until it executes runs."""
        while not self._is_ready():
            assert self._process.poll() is None, self.log
            time.sleep(_LOOK_S)

    def stop(self) -> int:
        """Shut it down gracefully, and return its exit status."""
        self._process.terminate()
        return self._process.wait()

    def end(self) -> None:
        """Kill it if it runs."""
        self._process.kill()
        self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return ask(self.port, "GET", "/readyz").status == 200
        except OSError:
            return False


def with_new_format(folder: Path) -> Version:
    """Return a version in `folder` whose journal has the next format."""
    return _copied(folder, "durable/format.py", f"JOURNAL_FORMAT = {JOURNAL_FORMAT}", f"JOURNAL_FORMAT = {NEW_FORMAT}")


def with_new_migration(folder: Path) -> Version:
    """Return a version in `folder` whose tables have one more column."""
    version = _copied(folder, "database/migrate.py", f'"{REVISIONS[-1]}")', f'"{REVISIONS[-1]}", "{NEW_REVISION}")')
    for driver in ("sqlite", "postgres"):
        place = folder / f"compozy/database/migrations/{driver}/versions/{NEW_REVISION}_new.py"
        place.write_text(_MIGRATION, encoding="utf-8")
    return version


def _copied(folder: Path, file: str, old: str, new: str) -> Version:
    shutil.copytree(_SOURCE / "compozy", folder / "compozy")
    path = folder / "compozy" / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} does not contain {old!r} once"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return Version(folder)
