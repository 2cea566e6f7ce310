"""The verbs on runs without a server: stored in the database, for whoever executes the run to see."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from functools import partial
from typing import assert_never

from compozy.cli.verbs import AnyVerb, Approve, Cancel, Pause, Resume, SendSignal
from compozy.client import Document
from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.executions import Execution, find_execution_id, get_execution
from compozy.database.executors import list_live_executors
from compozy.errors import NotFoundError
from compozy.project.loaded import LoadedProject
from compozy.storage import display_location, open_control
from compozy.workflow.documents import execution_document
from compozy.workflow.operate import approve, cancel, pause, resume, signal

# How long a command waits for the process that executes a run to do as it is asked.
_PATIENCE_S = 10.0
_POLL_S = 0.1


def do_here(project: LoadedProject, verb: AnyVerb) -> Document:
    """Do it on the project's database and return what came of it, as a server would answer.

    Raises:
        NotFoundError: there is no such execution.
        UsageError: several start with the ID that was given.
        ConflictError: it is in a state that does not allow it.
    """
    with open_control(project) as database:
        if database is None:
            raise NotFoundError(
                f"no execution {verb.execution_id!r}: there are no runs in {display_location(project)} yet",
                hint="run a workflow first: `compozy workflow run ID`",
            )
        return asyncio.run(_find_and_do(database, verb))


async def _find_and_do(database: Database, verb: AnyVerb) -> Document:
    found = await database.read_async(partial(find_execution_id, text=verb.execution_id))
    return await _do(database, replace(verb, execution_id=found))


async def _do(database: Database, verb: AnyVerb) -> Document:
    match verb:
        case SendSignal():
            sent = await signal(database, verb.execution_id, verb.name, verb.payload, signal_id=verb.signal_id)
            return asdict(sent)
        case Approve():
            return asdict(await approve(database, verb.execution_id, verb.given, task=verb.task))
        case Cancel():
            return await _until_obeyed(database, await cancel(database, verb.execution_id, reason=verb.reason))
        case Pause():
            return await _until_obeyed(database, await pause(database, verb.execution_id))
        case Resume():
            run = await resume(database, verb.execution_id)
            return {**execution_document(run), "nobody_executes": not await database.read_async(list_live_executors)}
        case _:
            # A verb that is forgotten here must do nothing, not something else.
            assert_never(verb)


async def _until_obeyed(database: Database, run: Execution) -> Document:
    """Wait a moment for the process that executes the run, and return the run as it is then."""
    deadline_s = monotonic_s() + _PATIENCE_S
    while run.requested is not None and monotonic_s() < deadline_s:
        await asyncio.sleep(_POLL_S)
        run = await database.read_async(partial(get_execution, workflow_exec_id=run.workflow_exec_id))
    return execution_document(run)
