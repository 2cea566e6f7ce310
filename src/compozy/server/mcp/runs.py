"""The runs that MCP clients start and follow: those of this process, or those of a server."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from compozy.clock import monotonic_s
from compozy.database.trigger import Trigger, TriggerType
from compozy.server.gate import SENDER
from compozy.server.service import Service, StartRequest
from compozy.telemetry.traces import traceparent_for_runs

Document = dict[str, Any]
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class Runs(Protocol):
    """Runs of one project. Each method raises errors of `compozy.errors`."""

    async def start(self, workflow_id: str, given: Document, execution_id: str | None) -> Document:
        """Accept a run, or find the run of this ID; return its document."""
        ...

    async def get(self, execution_id: str) -> Document:
        """Return the document of a run, with its tasks."""
        ...

    async def answer(self, execution_id: str, given: Document, task: str | None) -> None:
        """Answer the form of a waiting task."""
        ...

    async def cancel(self, execution_id: str, reason: str) -> Document:
        """Cancel a run and return its document."""
        ...

    async def pause(self, execution_id: str, seconds: float, /) -> bool:
        """Wait, at most until the run ends; return False if runs end here because the process does."""
        ...


@dataclass(frozen=True, kw_only=True)
class OwnRuns:
    """The runs of the server in this process."""

    service: Service

    async def start(self, workflow_id: str, given: Document, execution_id: str | None) -> Document:
        """Accept a run, or find the run of this ID; return its document."""
        body = {"input": given, "execution_id": execution_id}
        trigger = Trigger(type=TriggerType.MCP, by=SENDER.get().known_name)
        request = StartRequest(workflow_id=workflow_id, body=body, trigger=trigger, traceparent=traceparent_for_runs())
        return (await self.service.start(request))[0]

    async def get(self, execution_id: str) -> Document:
        """Return the document of a run, with its tasks."""
        return await self.service.get(execution_id)

    async def answer(self, execution_id: str, given: Document, task: str | None) -> None:
        """Answer the form of a waiting task."""
        await self.service.approve(execution_id, given, task=task, by=SENDER.get().known_name)

    async def cancel(self, execution_id: str, reason: str) -> Document:
        """Cancel a run and return its document."""
        return await self.service.cancel(execution_id, reason=reason)

    async def pause(self, execution_id: str, seconds: float) -> bool:
        """Wait, at most until the run ends; return False if the server is shutting down."""
        runtime, stopping = self.service.app.runtime, self.service.stopping
        waiting: list[asyncio.Task[Any]] = [asyncio.create_task(stopping.wait())]
        if execution_id in runtime.in_hand():
            waiting.append(asyncio.create_task(runtime.wait(execution_id)))
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            # Its error is that of the run, which its document holds.
            await asyncio.gather(*waiting, return_exceptions=True)
        return not stopping.is_set()


async def settle(runs: Runs, execution_id: str, wait_s: float, has_news: Callable[[Document], bool]) -> Document:
    """Wait until a run has ended, or its document has news; return the document, after `wait_s` in any case."""
    deadline_s = monotonic_s() + wait_s
    pause_s = _FIRST_PAUSE_S
    while True:
        document = await runs.get(execution_id)
        left_s = deadline_s - monotonic_s()
        if document["finished_at"] is not None or has_news(document) or left_s <= 0:
            return document
        if not await runs.pause(execution_id, min(pause_s, left_s)):
            return document
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def id_of_key(workflow_id: str, key: str) -> str:
    """Return the ID of the one run of a workflow that this idempotency key can start."""
    return f"mcp-{digest_of([workflow_id, key])}"


def digest_of(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
