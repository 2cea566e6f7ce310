"""Branches of a run that work at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from compozy.durable.context import RunSuspendedError


async def run_branches(bodies: Sequence[Coroutine[Any, Any, None]], is_over: Callable[[], bool]) -> None:
    """Run `bodies` at the same time until all have ended, one broke, or `is_over`; then cancel the rest.

    That the run comes to a halt is no reason to cancel: each branch stops by itself, with what it did recorded.
    """
    waiting = {asyncio.create_task(body) for body in bodies}
    ended: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
    for task in waiting:
        task.add_done_callback(ended.put_nowait)
    halted: BaseException | None = None
    try:
        while waiting and not is_over():
            task = await ended.get()
            waiting.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if isinstance(error, RunSuspendedError):
                halted = error
            elif error is not None:
                raise error
    finally:
        for task in waiting:
            task.cancel()
        # A canceled branch may have to complete a commit first.
        await asyncio.gather(*waiting, return_exceptions=True)
    if halted is not None and not is_over():
        raise halted
