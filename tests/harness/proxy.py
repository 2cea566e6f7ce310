"""A TCP proxy that a test can close, or point to another server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from types import TracebackType
from typing import Self

_CHUNK = 65536


class Proxy:
    """Forwards connections from its port to the port `behind` while the block lasts."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._is_closed = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Wakes the thread that accepts connections.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self._cut()
        for serving in self._threads:
            serving.join()

    @contextlib.contextmanager
    def closed(self) -> Generator[None, None, None]:
        """Cut all connections and refuse new ones while the block lasts."""
        self._is_closed = True
        self._cut()
        yield
        self._is_closed = False

    def point_to(self, behind: int) -> None:
        """Forward new connections to another port, and leave the others as they are."""
        self._behind = behind

    def _cut(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for side in pair:
                _shut(side)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_closed:
                client.close()
                continue
            pair = (client, socket.create_connection(("127.0.0.1", self._behind)))
            serving = threading.Thread(target=_serve, args=pair, daemon=True)
            with self._lock:
                self._pairs.add(pair)
                self._threads.append(serving)
            serving.start()


def _serve(client: socket.socket, server: socket.socket) -> None:
    back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
    back.start()
    _pass_on(client, server)
    back.join()
    client.close()
    server.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for side in (source, target):
        _shut(side)


def _shut(side: socket.socket) -> None:
    # Both threads of a connection, and the thread that cuts it, may close it.
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
