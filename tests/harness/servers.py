"""A real `compozy start` on a free port, and requests to it."""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.processes import Command, Commands, Conditions

API = "/api/v0"
_LISTENING = re.compile(r"^Server listening on :(\d+) \((http://\S+)\)\nWeb page: http://\S+/ui/$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The response of a server. `document` is the JSON of its body, None if the body is not JSON."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def document(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.content)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that is ready."""

    command: Command
    port: int
    url: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request. `_` in the name of a header stands for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, method, path, body, given)


def start_server(
    commands: Commands, folder: Path, *arguments: str, port: int = 0, conditions: Conditions | None = None
) -> Running:
    """Start the server of the project in `folder` and wait until it listens."""
    command = commands.start(folder, "start", f"--port={port}", *arguments, conditions=conditions)
    command.until(lambda: _LISTENING.search(command.out) is not None)
    found = _LISTENING.search(command.out)
    assert found is not None
    return Running(command=command, port=int(found[1]), url=found[2])


def ask(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one request to a port of this machine. A body that is not bytes is sent as JSON."""
    given = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        given.setdefault("content-type", "application/json")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=body, headers=given)
        answer = connection.getresponse()
        return Answer(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            content=answer.read(),
        )
    finally:
        connection.close()


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
