"""The runs of a server, for a process that speaks MCP in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from compozy.client import MCP_AGENT, Client
from compozy.errors import ServerError, StoppingError
from compozy.ids import new_execution_id
from compozy.server.mcp.runs import Document

_Result = TypeVar("_Result")
_RUNS = ("executions", "workflows")


@dataclass(kw_only=True)
class RemoteRuns:
    """The runs of the server that `find` returns a client of; it is searched again if it cannot be reached.

    Attributes:
        client: the server that was found.
        find: searches for the server of the project; returns None if none runs.
    """

    client: Client
    find: Callable[[], Client | None]

    async def start(self, workflow_id: str, given: Document, execution_id: str | None) -> Document:
        """Accept a run, or find the run of this ID; return its document."""
        body = {"input": given, "execution_id": execution_id or new_execution_id()}
        return await self._ask(lambda client: client.post("workflows", workflow_id, "executions", body=body))

    async def get(self, execution_id: str) -> Document:
        """Return the document of a run, with its tasks."""
        return await self._ask(lambda client: client.get(*_RUNS, execution_id))

    async def answer(self, execution_id: str, given: Document, task: str | None) -> None:
        """Answer the form of a waiting task."""
        body = {"input": given, "task": task}
        await self._ask(lambda client: client.post(*_RUNS, execution_id, "approve", body=body))

    async def cancel(self, execution_id: str, reason: str) -> Document:
        """Cancel a run and return its document."""
        return await self._ask(lambda client: client.post(*_RUNS, execution_id, "cancel", body={"reason": reason}))

    async def pause(self, _: str, seconds: float) -> bool:
        """Wait."""
        await asyncio.sleep(seconds)
        return True

    async def _ask(self, request: Callable[[Client], _Result]) -> _Result:
        """Send a request in a thread, over its own connection; once more if another server has taken over."""
        return await asyncio.to_thread(self._ask_now, request)

    def _ask_now(self, request: Callable[[Client], _Result]) -> _Result:
        try:
            return _send(self.client, request)
        except StoppingError:
            raise
        except ServerError:
            found = self.find()
            if found is None or found.url == self.client.url:
                raise
            self.client = found
            return _send(found, request)


def _send(client: Client, request: Callable[[Client], _Result]) -> _Result:
    with closing(Client(url=client.url, api_key=client.api_key, agent=MCP_AGENT)) as own:
        return request(own)
