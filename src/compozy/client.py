"""HTTP client for a Compozy server, using the standard library only."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from compozy import __version__
from compozy.errors import CompozyError, ServerError, UsageError, restore_error

Document = dict[str, Any]
API = "/api/v0"
# Products in the `User-Agent` of requests; a run records which of them started it.
CLI_AGENT = "compozy-cli"
MCP_AGENT = "compozy-mcp"
# A server may take this long to open its database; it accepts connections before that.
PATIENCE_S = 40.0
# A stream sends a comment every 15 seconds.
_STREAM_SILENCE_S = 40.0
_OK = 200
_SEND_S = 30.0
_MAX_ANSWER_BYTES = 512 * 1024 * 1024
_PROBLEM = "application/problem+json"


@dataclass(kw_only=True)
class Client:
    """Client for one server, over one persistent connection."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = PATIENCE_S
    agent: str = CLI_AGENT
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def get(self, *path: str, **query: str | int | list[str]) -> Document:
        """Return the document at a path under the API.

        Raises:
            CompozyError: the error that the server returned.
            ServerError: the server cannot be reached, or is not a Compozy server.
        """
        return self.request("GET", _path(path, query))

    def post(self, *path: str, body: Document, **query: str | int) -> Document:
        """Send a document to a path under the API and return the answer; raises like `get`."""
        return self.request("POST", _path(path, query), json.dumps(body).encode())

    def patch(self, *path: str, body: Document) -> Document:
        """Change the resource at a path under the API and return the answer; raises like `get`."""
        return self.request("PATCH", _path(path, {}), json.dumps(body).encode())

    def delete(self, *path: str, **query: str | int) -> Document:
        """Delete the resource at a path under the API and return the answer; raises like `get`."""
        return self.request("DELETE", _path(path, query))

    def request(self, method: str, path: str, body: bytes | None = None) -> Document:
        """Send a request and return the answer; raises like `get`."""
        answer, content = self._ask(method, path, body)
        media_type = (answer.getheader("content-type") or "").partition(";")[0]
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict) or (answer.status >= 400 and media_type != _PROBLEM):
            raise self._no_compozy(answer.status)
        found = cast("Document", document)
        if answer.status >= 400:
            raise self._restore(found, answer.status)
        return found

    @contextmanager
    def open_stream(self, *path: str, **query: str) -> Generator[Iterator[tuple[str, str]], None, None]:
        """Yield the names and data of server-sent events, over a connection apart.

        Raises:
            CompozyError: the error that the server returned.
            OSError: the connection was lost, or the server sent nothing for 40 s.
        """
        connection = self._connect()
        connection.timeout = _STREAM_SILENCE_S
        try:
            connection.request("GET", _path(path, query), headers=self._headers("text/event-stream"))
            answer = connection.getresponse()
            if answer.status != _OK:
                document = json.loads(answer.read(_MAX_ANSWER_BYTES))
                raise self._restore(cast("Document", document), answer.status)
            yield _read_events(answer)
        finally:
            connection.close()

    def project(self) -> Document:
        """Return the server's project, which includes `name` and `database.fingerprint`.

        Raises:
            CompozyError: as for `get`.
        """
        document = self.get("project")
        database = document.get("database")
        if not isinstance(document.get("name"), str) or not isinstance(database, dict) or "fingerprint" not in database:
            raise self._no_compozy(200)
        return document

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        # The server may have closed an idle connection. That is not a failure: retry once on a new connection.
        is_new = self._connection is None
        try:
            return self._ask_once(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_new or isinstance(error, TimeoutError):
                raise self._unreachable(error) from error
        try:
            return self._ask_once(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error

    def _ask_once(self, method: str, path: str, body: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection = self._connection or self._connect()
        headers = self._headers("application/json")
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read(_MAX_ANSWER_BYTES + 1)
        if len(content) > _MAX_ANSWER_BYTES:
            self.close()
            raise ServerError(f"the response from {self.url} is larger than {_MAX_ANSWER_BYTES // 1024 // 1024} MiB")
        return answer, content

    def _headers(self, media_type: str) -> dict[str, str]:
        headers = {"Accept": f"{media_type}, {_PROBLEM}", "User-Agent": f"{self.agent}/{__version__}"}
        return headers if self.api_key is None else {**headers, "Authorization": f"Bearer {self.api_key}"}

    def _connect(self) -> http.client.HTTPConnection:
        secure, host, port = split_url(self.url)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(host, port, timeout=self.timeout_s)

    def _restore(self, found: Document, status: int) -> CompozyError:
        details = found.get("details", {})
        if not isinstance(found.get("code"), str) or not isinstance(details, dict):
            return self._no_compozy(status)
        more: Document = {**cast("Document", details), "hint": found.get("command_hint") or found.get("hint", "")}
        return restore_error({"code": found["code"], "message": found.get("detail", ""), "details": more})

    def _no_compozy(self, status: int) -> ServerError:
        return ServerError(f"{self.url} is not a Compozy server", details={"status": status})

    def _unreachable(self, error: Exception) -> ServerError:
        return ServerError(
            f"cannot connect to a server at {self.url}: {_reason(error)}",
            hint="start a server with `compozy start`, or name another one with --server",
        )


def _read_events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    """Yield name and data of each server-sent event, as a Compozy server writes them: on one line each."""
    event: dict[str, str] = {}
    while line := answer.readline(_MAX_ANSWER_BYTES):
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name:
            event[name] = value
        elif "data" in event:
            yield event.get("event", ""), event["data"]
            event = {}


def send_request(url: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Document]:
    """Post a request as it is to a server, and return the status and the document of its answer.

    Raises:
        ServerError: the server cannot be reached, or its answer is not a JSON object.
    """
    secure, host, port = split_url(url)
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port, timeout=_SEND_S)
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        document = json.loads(answer.read(_MAX_ANSWER_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServerError(f"cannot send a request to {url}: {_reason(error)}") from error
    finally:
        connection.close()
    return answer.status, cast("Document", document) if isinstance(document, dict) else {"answer": document}


def split_url(url: str) -> tuple[bool, str, int]:
    """Split a server URL into whether it is https, its host and its port.

    Raises:
        UsageError: it is not a server URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_url(url) from error
    is_plain = parts.path in {"", "/"} and not parts.query and parts.username is None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not is_plain or port == 0:
        raise _no_url(url)
    secure = parts.scheme == "https"
    return secure, parts.hostname, port or (443 if secure else 80)


def _no_url(url: str) -> UsageError:
    # A URL with an `@` is not shown: it may contain a password.
    shown = repr(url) if "@" not in url else "the value"
    return UsageError(f"{shown} is not a server URL", hint="write it like http://127.0.0.1:8080")


def _path(parts: tuple[str, ...], query: Mapping[str, str | int | list[str]]) -> str:
    path = "/".join((API, *(quote(part, safe="") for part in parts)))
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "host name not found"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "connection closed"
