"""Commands on runs without a server: requests stored in the database, which the process that executes the run reads."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from functools import partial
from typing import assert_never

from compozy.cli.verbs import AnyVerb, Approve, Cancel, Pause, Resume, SendSignal
from compozy.client import Document
from compozy.database.database import Database
from compozy.database.executions import find_execution_id
from compozy.database.executors import list_live_executors
from compozy.errors import NotFoundError
from compozy.project.loaded import LoadedProject
from compozy.storage import display_location, open_control
from compozy.workflow.documents import read_run
from compozy.workflow.operate import approve, cancel, pause, resume, signal, wait_until_obeyed


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
                f"no execution {verb.execution_id!r}: {display_location(project)} has no runs yet",
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
            await cancel(database, verb.execution_id, reason=verb.reason)
            await wait_until_obeyed(database, verb.execution_id)
            return await _read(database, verb.execution_id)
        case Pause():
            await pause(database, verb.execution_id)
            await wait_until_obeyed(database, verb.execution_id)
            return await _read(database, verb.execution_id)
        case Resume():
            await resume(database, verb.execution_id)
            nobody_executes = not await database.read_async(list_live_executors)
            return {**await _read(database, verb.execution_id), "nobody_executes": nobody_executes}
        case _:
            # A verb that is forgotten here must do nothing, not something else.
            assert_never(verb)


async def _read(database: Database, execution_id: str) -> Document:
    """Return a run as a server would."""
    return (await database.read_async(partial(read_run, execution_id=execution_id)))[1]
