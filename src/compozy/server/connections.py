"""The connections of the server: how many, how long a client may take to ask and to read, how much waits for it."""

from __future__ import annotations

import asyncio
import errno
import resource
from contextlib import suppress
from typing import Any

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from compozy.clock import monotonic_s

_log = structlog.get_logger(__name__)

HEAD_S = 30.0
# How long a client may read nothing while a part of its answer waits.
READ_S = 30.0
# Memory limit of all answers together while their clients do not read.
MAX_UNSENT = 128 * 1024 * 1024
# Connections that the event loop takes in one round; descriptors for them are not counted before that.
ACCEPTED_AT_ONCE = 16
_MAX_CONNECTIONS = 4096
# For the database, runs, models and files; half of them where there are few.
_RESERVED = 256
_MOST_DESCRIPTORS = 65_536
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def raise_descriptor_limit() -> int:
    """Raise the number of files and connections that this process may open as far as it may; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        # Some systems have a lower bound than the one that they name.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST_DESCRIPTORS if now == resource.RLIM_INFINITY else now


def connection_limit(descriptors: int) -> int:
    """Return how many connections a server may have that may open so many descriptors."""
    return max(1, min(_MAX_CONNECTIONS, descriptors - min(_RESERVED, descriptors // 2) - ACCEPTED_AT_ONCE))


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log a lack of descriptors once; asyncio would write a traceback for each connection that waits."""
    said = False

    def handle(handling: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            if not said:
                _log.error("no more connections can be accepted", cause=error.strerror)
            said = True
            return
        handling.default_exception_handler(context)

    loop.set_exception_handler(handle)


class JoinedWrites:
    """A transport that sends all data written in one round of the event loop together: head and body in one packet."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Return what the transport offers besides."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this round."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Send what was written."""
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Send what was written, then close."""
        self.flush()
        self._transport.close()


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with bounds: clients that ask or read too slowly, or are too many, lose their connection."""

    limit = _MAX_CONNECTIONS
    _deadline: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _since_s = 0.0
    _refused = False

    def connection_made(self, transport: Any) -> None:
        """Wait for a first request."""
        if len(self.connections) >= self.limit and not self._make_room():
            self._refused = True
            transport.write(_BUSY)
            transport.close()
            return
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)
        self._since_s = monotonic_s()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came, and wait for the rest."""
        if self._refused:
            return
        if not self.is_arriving:
            # A body that arrives in small parts does not make its connection newer.
            self._since_s = monotonic_s()
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, for a while."""
        super().pause_writing()
        self._look_at_reader(self.unsent + 1)
        self._bound_unsent()

    def resume_writing(self) -> None:
        """Wait no longer: what was written is sent."""
        self._stop_reading()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self._stop_reading()
        if not self._refused:
            super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    @property
    def is_arriving(self) -> bool:
        """Whether the body of a request has not arrived yet."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def unsent(self) -> int:
        """Return the bytes that wait for the client to read."""
        return self.transport.get_write_buffer_size()

    def _make_room(self) -> bool:
        """Close the connection idle for longest, or else the oldest upload; return whether there was one."""
        bounded = [other for other in self.connections if isinstance(other, BoundedProtocol)]
        others = [other for other in bounded if other.is_idle] or [other for other in bounded if other.is_arriving]
        if not others:
            return False
        oldest = min(others, key=lambda other: other._since_s)
        oldest._abort()
        self.connections.discard(oldest)
        return True

    def _bound_unsent(self) -> None:
        """Close those who have not read for longest, until what waits for all is within its bound."""
        slow = [other for other in self.connections if isinstance(other, BoundedProtocol) and other._reading]
        slow.sort(key=lambda other: other._since_s)
        total = sum(other.unsent for other in slow)
        for other in slow[:-1]:
            if total <= MAX_UNSENT:
                return
            total -= other.unsent
            other._abort()

    def _look_at_reader(self, before: int) -> None:
        if self.unsent >= before:
            _log.info("closed a connection whose client does not read", unsent=self.unsent)
            self._abort()
        else:
            self._reading = self.loop.call_later(READ_S, self._look_at_reader, self.unsent)

    def _abort(self) -> None:
        self.transport.abort()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
