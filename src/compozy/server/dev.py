"""`compozy dev`: a server process that is started again when files of the project change.

The project is checked before the running server is stopped, so that its last valid version serves while files have
errors. Unfinished runs continue in the next process, as after every restart.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from compozy.client import Client
from compozy.errors import CompozyError, ServerError
from compozy.installation import end_command
from compozy.project.loaded import LoadedProject
from compozy.project.watch import Stamps, read_stamps
from compozy.server.ports import listen
from compozy.server.serve import Address, check_server

_LOOK_S = 0.3
_READY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Prints what happens: `note` a line, `error` why the files are not served."""

    note: Callable[[str], None]
    error: Callable[[CompozyError], None]


@dataclass(kw_only=True)
class DevServer:
    """Serves a project until a signal comes.

    Args:
        load: reads and checks the project.
        command: starts a server that ends with its stdin.
        root: folder of the project.
        reports: what is printed.
        open_page: called once with the address of the server's page when it is ready; None for never.
        tests: starts a process that runs affected tests when files change, and ends with its stdin; empty for none.
    """

    load: Callable[[], LoadedProject]
    command: Sequence[str]
    root: Path
    reports: Reports
    open_page: Callable[[str], None] | None = None
    tests: Sequence[str] = ()
    _testing: subprocess.Popen[bytes] | None = None
    _stamps: Stamps | None = None
    _project: LoadedProject | None = None
    _process: subprocess.Popen[bytes] | None = None
    _address: Address | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM, and return the exit code.

        Raises:
            CompozyError: the first server cannot listen on its address, or is not allowed to.
        """
        with _on_signal(self._stopping.set):
            try:
                before: Stamps | None = None
                while True:
                    now = read_stamps(self.root)
                    # A file that is being written changes until it is complete.
                    if now != self._stamps and (now == before or self._stamps is None):
                        self._stamps = now
                        self._reload()
                    before = now
                    self._look_at_server()
                    if self._stopping.wait(_LOOK_S):
                        return 0
            finally:
                self._stop_server()
                if self._testing is not None:
                    end_command(self._testing)

    def _reload(self) -> None:
        try:
            project = self.load()
        except CompozyError as error:
            self._report(error)
            return
        try:
            check_server(project)
            if self._process is not None and self._project is not None and project.is_like(self._project):
                # Another YAML or JSON file of the folder changed, such as a result of a command.
                return
            address = self._address_of(project)
        except CompozyError as error:
            if self._address is None:
                # The address is usually given on the command line, so no change of a file would end the wait.
                raise
            self._report(error)
            return
        if self._process is not None:
            self.reports.note("Files changed; restarting the server.")
        self._stop_server()
        self._project, self._address = project, address
        self._process = _start([*self.command, "--port", str(address.port)])
        if self.tests and (self._testing is None or self._testing.poll() is not None):
            # It looks for changes itself.
            self._testing = _start(self.tests)

    def _report(self, error: CompozyError) -> None:
        """Report why the files are not served."""
        self.reports.error(error)
        running = self._process is not None
        self.reports.note(
            "The last valid version is still being served." if running else "Waiting for a change of the files."
        )

    def _address_of(self, project: LoadedProject) -> Address:
        """Return the address to serve at: with port 0, a free one, which stays the same."""
        before, was = self._project, self._address
        is_same_host = before is not None and before.server.host == project.server.host
        if was is not None and is_same_host and project.server.port in {0, was.port}:
            return was
        with closing(listen(project.server.host, project.server.port)) as sock:
            return Address.of(sock)

    def _look_at_server(self) -> None:
        """Report a server that ended, and open the page of one that is ready."""
        if self._process is None:
            return
        code = self._process.poll()
        if code is not None:
            self._process = None
            self.reports.note(f"The server exited with code {code}. Waiting for a change of the files.")
        elif self.open_page is not None and self._address is not None and _is_ready(self._address.url):
            self.open_page(f"{self._address.url}/ui/")
            self.open_page = None

    def _stop_server(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_command(process)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        # The process stops when this pipe closes, however this process ends.
        stdin=subprocess.PIPE,
        # Ctrl-C reaches only this process, which then stops the others.
        start_new_session=True,
    )


def _is_ready(url: str) -> bool:
    with closing(Client(url=url, timeout_s=_READY_S)) as client:
        try:
            client.request("GET", "/readyz")
        except ServerError:
            return False
        return True


@contextmanager
def _on_signal(act: Callable[[], None]) -> Generator[None, None, None]:
    """Call `act` instead of ending when SIGINT or SIGTERM comes."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda _number, _frame: act()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
