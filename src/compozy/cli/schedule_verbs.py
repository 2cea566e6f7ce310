"""Commands of `compozy schedule`, applied by a server or in this process with the same documents."""

from __future__ import annotations

from typing import Any, Protocol

from compozy.client import Client, Document

_PATH = "schedules"


class Schedules(Protocol):
    """Does what the commands say, and returns the documents that they print."""

    def list(self) -> Document:
        """Return every schedule."""
        ...

    def next(self, schedule_id: str, count: int) -> Document:
        """Return the next times of a schedule."""
        ...

    def change(self, schedule_id: str, asked: dict[str, Any]) -> Document:
        """Change a schedule and return it."""
        ...

    def trigger(self, schedule_id: str) -> Document:
        """Start a run now and return its ID."""
        ...

    def backfill(self, schedule_id: str, start: str, end: str) -> Document:
        """Start the runs of a past period and return their IDs."""
        ...


class RemoteSchedules:
    """The schedules of a server's project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Document:
        """Return every schedule."""
        return self._client.get(_PATH)

    def next(self, schedule_id: str, count: int) -> Document:
        """Return the next times of a schedule."""
        return self._client.get(_PATH, schedule_id, "next", count=count)

    def change(self, schedule_id: str, asked: dict[str, Any]) -> Document:
        """Change a schedule and return it."""
        return self._client.patch(_PATH, schedule_id, body=asked)

    def trigger(self, schedule_id: str) -> Document:
        """Start a run now and return its ID."""
        return self._client.post(_PATH, schedule_id, "trigger", body={})

    def backfill(self, schedule_id: str, start: str, end: str) -> Document:
        """Start the runs of a past period and return their IDs."""
        return self._client.post(_PATH, schedule_id, "backfill", body={"start": start, "end": end})
