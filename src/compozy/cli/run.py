"""`compozy workflow run`: one run in this process, from its acceptance to its result."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from dataclasses import replace
from typing import Any

from compozy.app import COMMAND, App, open_app
from compozy.cli.arguments import RunRequest, name_known_run
from compozy.cli.endings import INTERRUPTED
from compozy.cli.executions import until_it_rests
from compozy.cli.output import print_note, print_warnings
from compozy.cli.progress import Progress
from compozy.cli.results import is_waiting, print_detached, print_result
from compozy.database.database import Database
from compozy.database.executions import (
    Execution,
    NewExecution,
    execution_not_found,
    find_execution_id,
    get_execution,
    get_status,
)
from compozy.database.status import Status
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import NotFoundError, RunCanceledError
from compozy.knowledge.run import check_request, is_ingestion, request_of, start_again
from compozy.plural import plural
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject, LoadedWorkflow
from compozy.storage import close_storage, concurrency_warning, open_reading, open_storage
from compozy.workflow.documents import input_warnings, read_run
from compozy.workflow.rerun import RerunRequest, prepare_ingestion_again, prepare_rerun, read_source
from compozy.workflow.start import check_same_run, prepare_run, start_run

_TERMINATED = 143
# How long an orderly end after a signal may take.
_GRACE_S = 10.0


def run_workflow(project: LoadedProject, request: RunRequest) -> int:
    """Run a workflow, print its result, and return the exit code.

    Raises:
        CompozyError: it could not be run.
    """
    new = _prepare_rerun(project, request) if request.repeats is not None else _prepare(project, request)
    database = open_storage(
        project,
        wait_for_lock_s=request.wait_for_lock_s,
        on_wait=None if request.quiet else lambda who: print_note(f"waiting for {who} to end its runs"),
    )
    try:
        return asyncio.run(_run(project, database, request, new))
    finally:
        close_storage(database)


def _prepare(project: LoadedProject, request: RunRequest) -> NewExecution:
    loaded = _find_workflow(project, request)
    return prepare_run(
        loaded.config,
        snapshot(project, request.workflow_id),
        request.given,
        execution_id=request.execution_id,
        timeout_s=request.timeout_s,
        trigger=Trigger(type=TriggerType.CLI),
        labels=request.labels,
    )


def _prepare_rerun(project: LoadedProject, request: RunRequest) -> NewExecution:
    wanted = RerunRequest(
        execution_id=str(request.repeats),
        from_task=request.from_task,
        given=request.given,
        new_id=request.execution_id,
        labels=request.labels,
    )
    database = open_reading(project)
    if database is None:
        raise execution_not_found(wanted.execution_id)
    try:
        with database.read() as connection:
            wanted = replace(wanted, execution_id=find_execution_id(connection, wanted.execution_id))
            source, tasks = read_source(connection, wanted)
    finally:
        close_storage(database)
    if is_ingestion(source):
        return prepare_ingestion_again(source, wanted)
    workflow = project.workflow(source.workflow_id).config
    new = prepare_rerun(workflow, snapshot(project, source.workflow_id), source, tasks, wanted)
    if new.kept and not request.quiet:
        print_note(f"keeping {', '.join(new.kept)} of execution {source.workflow_exec_id}")
    return new


def _find_workflow(project: LoadedProject, request: RunRequest) -> LoadedWorkflow:
    try:
        return project.workflow(request.workflow_id)
    except NotFoundError as error:
        if request.execution_id is not None and _has_run(project, request.execution_id):
            raise name_known_run(error, request.execution_id) from error
        raise


def _has_run(project: LoadedProject, execution_id: str) -> bool:
    database = open_reading(project)
    if database is None:
        return False
    try:
        with database.read() as connection:
            return get_status(connection, execution_id) is not None
    finally:
        close_storage(database)


async def _run(project: LoadedProject, database: Database, request: RunRequest, new: NewExecution) -> int:
    return await _Runner(project, database, request).run(new)


class _Runner:
    """One run in this process, and what signals do to it."""

    def __init__(self, project: LoadedProject, database: Database, request: RunRequest) -> None:
        self._project = project
        self._run_id = ""
        self._database = database
        self._request = request
        # Made where the loop runs, because a future belongs to one.
        self._signal: asyncio.Future[int] = asyncio.Future(loop=asyncio.get_running_loop())

    async def run(self, new: NewExecution) -> int:
        run_id = self._run_id = new.workflow_exec_id
        self._listen_for_signals()
        progress = Progress(run_id, quiet=self._request.quiet, follows=self._request.follows)
        with progress.text.listening():
            return await self._run(new, progress)

    async def _run(self, new: NewExecution, progress: Progress) -> int:
        run_id = self._run_id
        async with open_app(self._project, self._database, role=COMMAND, report=progress) as app:
            self._print_start_notes(app, new)
            created = await self._start(app, new)
            if not created:
                await self._join(app, new)
            if new.admission is not None:
                progress.run_waits((await self._read())[1])
            received = await self._wait(app, run_id)
            if received == signal.SIGTERM:
                print_note(f"Stopped; {_how_to_continue(run_id)}")
                return _TERMINATED
            if received is not None:
                if await self._waits():
                    print_detached(run_id, "still waiting, and resumes with the next process")
                    return INTERRUPTED
                if not self._request.quiet:
                    print_note("\ncanceling the run ... (press Ctrl-C again to exit immediately)")
                await app.runtime.cancel(run_id, Status.CANCELED, _canceled().to_json())
            run = await self._database.read_async(lambda c: get_execution(c, run_id))
            self._print_unfinished_note(app, run_id)
            return self._print(run)

    async def _waits(self) -> bool:
        return is_waiting((await self._read())[1])

    async def _read(self) -> tuple[Execution, dict[str, Any]]:
        return await self._database.read_async(lambda c: read_run(c, self._run_id))

    async def _start(self, app: App, new: NewExecution) -> bool:
        if not is_ingestion(new):
            return await start_run(app.runtime, self._project.workflow(new.workflow_id).config, new)
        await check_request(app.knowledge.project, self._database, request_of(new))
        return await start_again(app.runtime, self._database, new)

    async def _join(self, app: App, new: NewExecution) -> None:
        """The ID exists: show that run, and continue it if no process executes it."""
        known = await self._database.read_async(lambda c: get_execution(c, new.workflow_exec_id))
        check_same_run(known, new, has_input=self._request.given is not None)
        await app.runtime.adopt(new.workflow_exec_id)

    async def _wait(self, app: App, run_id: str) -> int | None:
        """Wait until the run has ended or a signal came, and return the signal."""
        ended = asyncio.create_task(until_it_rests(app, run_id))
        await asyncio.wait({ended, self._signal}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            ended.cancel()
            return self._signal.result()
        await ended
        return None

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: int) -> None:
        if self._signal.done():
            # A second signal: exit immediately. The journal is consistent at any moment, and the run can be resumed.
            os._exit(INTERRUPTED)
        self._signal.set_result(number)
        self._leave_later(_TERMINATED if number == signal.SIGTERM else INTERRUPTED)

    def _leave_later(self, status: int) -> None:
        """See that the process ends even if it cannot do so in order: another program may hold the file for hours."""

        def leave() -> None:
            print_note(f"the database does not answer; {_how_to_continue(self._run_id)}")
            os._exit(status)

        timer = threading.Timer(_GRACE_S, leave)
        timer.daemon = True
        timer.start()

    def _print_start_notes(self, app: App, new: NewExecution) -> None:
        if self._request.quiet:
            return
        print_warnings(input_warnings(new))
        if warning := concurrency_warning(self._project):
            print_warnings([warning])
        if app.left_unfinished:
            print_note(
                f"note: continuing {plural(app.left_unfinished, 'unfinished run')} of a process that ended early"
            )

    def _print_unfinished_note(self, app: App, run_id: str) -> None:
        others = app.runtime.in_hand() - {run_id}
        if others and not self._request.quiet:
            print_note(
                f"note: {plural(len(others), 'other run')} unfinished; `compozy workflow get ID --wait` continues them"
            )

    def _print(self, run: Execution) -> int:
        with self._database.read() as connection:
            document = read_run(connection, run.workflow_exec_id)[1]
        return print_result(document, as_json=self._request.as_json)


def _how_to_continue(run_id: str) -> str:
    return f"execution {run_id} continues with the next `compozy workflow run` or `get --wait`"


def _canceled() -> RunCanceledError:
    return RunCanceledError("canceled with Ctrl-C")
