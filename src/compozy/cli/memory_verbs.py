"""Commands of `compozy memory`, applied by a server or in this process with the same documents."""

from __future__ import annotations

from typing import Protocol

from compozy.client import Client, Document
from compozy.ids import new_execution_id

_PATH = "memory"


class Memories(Protocol):
    """Does what the commands say, and returns the documents that they print."""

    def list(self, memory_id: str | None, *, limit: int, cursor: str | None) -> Document:
        """Return a page of conversations."""
        ...

    def read(self, memory_id: str, key: str, *, limit: int, before: int | None) -> Document:
        """Return the latest messages of a conversation."""
        ...

    def append(self, memory_id: str, key: str, message: Document) -> Document:
        """Add a message to a conversation."""
        ...

    def clear(self, memory_id: str, key: str) -> Document:
        """Remove everything that a conversation holds."""
        ...


class RemoteMemories:
    """The conversations of a server's project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, memory_id: str | None, *, limit: int, cursor: str | None) -> Document:
        """Return a page of conversations."""
        chosen = {"memory_id": memory_id, "cursor": cursor}
        return self._client.get(_PATH, limit=limit, **{name: text for name, text in chosen.items() if text is not None})

    def read(self, memory_id: str, key: str, *, limit: int, before: int | None) -> Document:
        """Return the latest messages of a conversation."""
        chosen = {} if before is None else {"before": before}
        return self._client.get(_PATH, memory_id, "read", key=key, limit=limit, **chosen)

    def append(self, memory_id: str, key: str, message: Document) -> Document:
        """Add a message to a conversation, once even if the request is repeated after a lost answer."""
        body = {"key": key, "messages": [message], "id": new_execution_id()}
        return self._client.post(_PATH, memory_id, "append", body=body)

    def clear(self, memory_id: str, key: str) -> Document:
        """Remove everything that a conversation holds."""
        return self._client.post(_PATH, memory_id, "clear", body={"key": key, "confirm": True})
