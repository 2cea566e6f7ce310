"""One process imports the program for all workers of pytest: the fork server of each worker is a child of it.

The controller starts the first fork server, which imports the program and runs it once: several seconds of processor
time. A worker asks it for a child, and that child is the fork server of the worker. Each worker has its own, because
the processor time of its tests is that of the children of its fork server.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

# The address of the fork server of the controller. Workers inherit it.
_ADDRESS = "TEST_FORK_SERVER"
# Most of what is needed here has no types.
_module: Any = forkserver


def start_shared() -> None:
    """Start the fork server of the controller, which imports the program in the background."""
    forkserver.ensure_running()
    os.environ[_ADDRESS] = _module._forkserver._forkserver_address


def use_shared() -> None:
    """Let processes of this worker be forked from what its controller has imported, if it has."""
    if address := os.environ.get(_ADDRESS):
        _use(_OfWorker(address))


def _use(server: forkserver.ForkServer) -> None:
    _module._forkserver = server
    _module.connect_to_new_process = server.connect_to_new_process


class _Started(forkserver.ForkServer):
    """The fork server of the controller, which ends with the controller."""

    def __init__(self, address: str) -> None:
        super().__init__()
        # A child keeps its fork server alive by this descriptor. Only the controller keeps this one alive.
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        vars(self).update(_forkserver_address=address, _forkserver_alive_fd=self._nothing)

    def ensure_running(self) -> None:
        """Leave it to the controller."""
        resource_tracker.ensure_running()


class _OfWorker(forkserver.ForkServer):
    """The fork server of this worker. It starts when a test starts the first process, and ends with this worker."""

    def __init__(self, shared: str) -> None:
        super().__init__()
        self._shared = shared
        self._kept: list[Any] = []
        self._once = threading.Lock()

    def ensure_running(self) -> None:
        """Start it once."""
        resource_tracker.ensure_running()
        with self._once:
            if not self._kept:
                self._start()

    def _start(self) -> None:
        reader, writer = multiprocessing.Pipe(duplex=False)
        address: str = vars(connection)["arbitrary_address"]("AF_UNIX")
        with socket.socket(socket.AF_UNIX) as listener, reader:
            listener.bind(address)
            listener.listen()
            _use(_Started(self._shared))
            process = multiprocessing.get_context("forkserver").Process(
                target=_serve, args=(listener, reader), daemon=True
            )
            process.start()
            _use(self)
        self._kept += [process, writer]
        vars(self).update(
            _forkserver_address=address, _forkserver_alive_fd=writer.fileno(), _forkserver_pid=process.pid
        )


def _serve(listener: socket.socket, alive: Connection) -> None:
    """Run in the child that becomes the fork server of a worker."""
    _module.main(listener.detach(), alive.fileno(), [])
