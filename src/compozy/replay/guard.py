"""Closes the network while recorded answers are replayed, so that nothing leaves the machine unnoticed."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"})
_MESSAGE = "the network is closed while recorded answers are replayed"
_state = {"installed": False, "closed": False}


@contextmanager
def closed_network(*, is_closed: bool = True) -> Generator[None]:
    """Refuse connections of this process inside the block, except those to local sockets without an address."""
    if not _state["installed"]:
        # A hook stays until the process ends.
        sys.addaudithook(_refuse)
        _state["installed"] = True
    before = _state["closed"]
    _state["closed"] = is_closed
    try:
        yield
    finally:
        _state["closed"] = before


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _state["closed"] or event not in _EVENTS:
        return
    # Paths of local sockets are text or bytes; addresses of the network are tuples.
    if event in {"socket.connect", "socket.sendto"} and not isinstance(arguments[1], tuple):
        return
    raise PermissionError(_MESSAGE)
