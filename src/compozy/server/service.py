"""The operations behind the routes, on the project of the server."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from compozy.app import App
from compozy.database.executions import (
    Execution,
    NewExecution,
    execution_not_found,
    is_execution_id,
)
from compozy.database.live_text import watch_for
from compozy.database.status import Status
from compozy.database.trigger import BY_API, Trigger
from compozy.durable.ends import log_ended
from compozy.errors import (
    ConflictError,
    IdempotencyError,
    NotFinishedError,
    RunCanceledError,
    StoppingError,
)
from compozy.knowledge.run import check_request, is_ingestion, request_of, start_again
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedWorkflow
from compozy.project.rerun import rerun_of
from compozy.schema.worker import validate_in_worker
from compozy.server.hub import Hub
from compozy.server.idempotency import digest_of_body, id_of_key
from compozy.workflow.details import draw_workflow
from compozy.workflow.documents import read_run, workflow_document
from compozy.workflow.graph import graph_document
from compozy.workflow.operate import approve, cancel, pause, resume, signal, wait_until_obeyed
from compozy.workflow.requests import list_requests
from compozy.workflow.rerun import RerunRequest, prepare_ingestion_again, read_source
from compozy.workflow.start import check_same_run, prepare_run, start_run

Document = dict[str, Any]
# A run that another process executes is looked at this often.
_POLL_S = 0.2
# The time in which a client that starts a run opens its stream.
_CONNECTS_S = 5.0


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """A request to run a workflow.

    Args:
        workflow_id: the workflow.
        body: its JSON: `input`, `execution_id`, `labels`, each of which may be missing.
        key: its `Idempotency-Key`.
        trigger: what asks for the run, and who.
        traceparent: its W3C trace context.
        follows: whether the client opens a stream next, and reads what models write.
    """

    workflow_id: str
    body: Document
    key: str | None = None
    trigger: Trigger = BY_API
    traceparent: str | None = None
    follows: bool = False

    @property
    def given(self) -> Any:
        """Return the input, None for none."""
        return self.body.get("input")


@dataclass(kw_only=True)
class Service:
    """The project's runs, for as long as the server takes requests."""

    app: App
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _definitions: dict[str, Document] = field(default_factory=dict[str, Document])

    def __post_init__(self) -> None:
        """Remember the files as they were read."""
        self._stamps = self._read_stamps()
        self.hub = Hub(self.app.database, self.stopping)

    @property
    def files_changed(self) -> bool:
        """Whether a file of the project is another one by now than the one that this server runs."""
        return self._read_stamps() != self._stamps

    def workflows(self) -> list[Document]:
        """Return every workflow of the project."""
        return [self._document(found) for found in self.app.project.workflows.values()]

    def workflow(self, workflow_id: str) -> Document:
        """Return one workflow with the schema of its input.

        Raises:
            NotFoundError: the project has none of this id.
        """
        found = self.app.project.workflow(workflow_id)
        return {**self._document(found), "input_schema": found.config.input_schema}

    def _document(self, found: LoadedWorkflow) -> Document:
        return workflow_document(found.config, found.file.relative_to(self.app.project.root).as_posix())

    def graph(self, workflow_id: str) -> Document:
        """Return the drawings of one workflow.

        Raises:
            NotFoundError: the project has none of this id.
        """
        workflow = self.app.project.workflow(workflow_id).config
        return {**graph_document(workflow), **draw_workflow(workflow)}

    async def start(self, request: StartRequest, *, timeout_s: float | None = None) -> tuple[Document, bool]:
        """Accept a run, or find the one that the same request began; return it and whether it is new.

        Raises:
            NotFoundError: the project has no such workflow.
            SchemaMismatchError: the input does not match its schema.
            ConflictError: the execution id is that of another run.
            IdempotencyError: the key was used for another request.
            StoppingError: the server is about to end.
        """
        self.refuse_when_stopping()
        workflow = self.app.project.workflow(request.workflow_id).config
        new = await validate_in_worker(partial(self._prepare, request, timeout_s))
        if request.follows:
            watch_for([new.workflow_exec_id], seconds=_CONNECTS_S)
        created = await start_run(self.app.runtime, workflow, new)
        run, document = await self._read(new.workflow_exec_id)
        if not created:
            _check_same(run, new, request)
        return document, created

    async def get(self, execution_id: str) -> Document:
        """Return a run with its tasks.

        Raises:
            NotFoundError: there is none of this id.
        """
        if not is_execution_id(execution_id):
            raise execution_not_found(execution_id)
        return (await self._read(execution_id))[1]

    async def requests(self, execution_id: str) -> Document:
        """Return the model requests of a run that are recorded.

        Raises:
            NotFoundError: there is none of this id.
        """
        await self.get(execution_id)
        return {"requests": await asyncio.to_thread(list_requests, self.app.database, execution_id)}

    async def wait(self, execution_id: str, *, timeout_s: float) -> Document:
        """Wait for the end of a run and return it.

        Raises:
            NotFinishedError: it had not ended after `timeout_s`; it goes on.
            StoppingError: the server is about to end; the run goes on with the next start.
        """
        ended = asyncio.create_task(self._until_ended(execution_id))
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
        finally:
            ended.cancel()
            stopping.cancel()
        if self.stopping.is_set():
            raise _stopping({"execution_id": execution_id})
        raise NotFinishedError(
            f"execution {execution_id} was not finished after {timeout_s:g} s; it is still running",
            hint=f"see GET /api/v0/executions/workflows/{execution_id}",
            details={"execution_id": execution_id},
        )

    async def cancel(self, execution_id: str, *, reason: str) -> Document:
        """Cancel a run and return it; a canceled run is returned unchanged.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: it had already ended otherwise.
        """
        known = await self.get(execution_id)
        in_hand = execution_id in self.app.runtime.in_hand()
        if in_hand:
            await self.app.runtime.cancel(execution_id, Status.CANCELED, RunCanceledError(reason).to_json())
        # Of a run that another process executes, or that ended meanwhile, the tables know more.
        run = await cancel(self.app.database, execution_id, reason=reason)
        if not in_hand and known["finished_at"] is None and run.status.is_final:
            await log_ended(self.app.database, [execution_id])
        return await self._until_obeyed(execution_id)

    async def pause(self, execution_id: str) -> Document:
        """Pause a run and return it.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: it has ended.
        """
        await self.get(execution_id)
        await pause(self.app.database, execution_id)
        return await self._until_obeyed(execution_id)

    async def resume(self, execution_id: str) -> Document:
        """Resume a paused run and return it.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: it is not paused.
        """
        await self.get(execution_id)
        await resume(self.app.database, execution_id)
        self.app.runtime.wake()
        return await self.get(execution_id)

    async def signal(
        self, execution_id: str, name: str, payload: Any, *, signal_id: str | None, by: str | None = None
    ) -> Document:
        """Send a signal to a run and return what was sent.

        Raises:
            NotFoundError: there is no such run, or nothing in it waits for the name.
            SchemaMismatchError: a task waits for it with a form, which the payload does not match.
            ConflictError: it has ended.
        """
        await self.get(execution_id)
        sent = await signal(self.app.database, execution_id, name, payload, signal_id=signal_id, by=by)
        self.app.runtime.wake()
        return asdict(sent)

    async def approve(self, execution_id: str, given: Any, *, task: str | None, by: str | None = None) -> Document:
        """Answer the form of a waiting task.

        Raises:
            NotFoundError: there is no such run, or none of its tasks waits with a form.
            SchemaMismatchError: the answer does not match.
        """
        await self.get(execution_id)
        sent = await approve(self.app.database, execution_id, given, task=task, by=by)
        self.app.runtime.wake()
        return asdict(sent)

    async def rerun(self, request: RerunRequest) -> tuple[Document, bool]:
        """Repeat a run; return the new one, and whether it is new.

        Raises:
            NotFoundError: there is no such run, or no such task in its workflow.
            ConflictError: it has not ended, or the new id is that of another run.
            StoppingError: the server is about to end.
        """
        self.refuse_when_stopping()
        await self.get(request.execution_id)
        source, tasks = await self.app.database.read_async(partial(read_source, request=request))
        if is_ingestion(source):
            new = prepare_ingestion_again(source, request)
            await check_request(self.app.knowledge.project, self.app.database, request_of(new))
            created = await start_again(self.app.runtime, self.app.database, new)
        else:
            new = await rerun_of(self.app.project, source, tasks, request)
            created = await start_run(self.app.runtime, self.app.project.workflow(source.workflow_id).config, new)
        run, document = await self._read(new.workflow_exec_id)
        if not created:
            check_same_run(run, new, has_input=request.given is not None)
        return document, created

    async def _until_obeyed(self, execution_id: str) -> Document:
        """Wait briefly for the process that executes a run to fulfill a request, and return the run."""
        self.app.runtime.wake()
        await wait_until_obeyed(self.app.database, execution_id)
        return (await self._read(execution_id))[1]

    def _prepare(self, request: StartRequest, timeout_s: float | None) -> NewExecution:
        project, workflow_id = self.app.project, request.workflow_id
        if workflow_id not in self._definitions:
            self._definitions[workflow_id] = snapshot(project, workflow_id)
        definition, execution_id = self._definitions[workflow_id], request.body.get("execution_id")
        if request.key is not None:
            if execution_id is not None:
                raise ConflictError("give either an execution_id or an Idempotency-Key, not both")
            execution_id = id_of_key(workflow_id, request.key)
            definition = {**definition, "request": {"digest": digest_of_body(request.body)}}
        return prepare_run(
            project.workflow(workflow_id).config,
            definition,
            request.given,
            execution_id=execution_id,
            timeout_s=timeout_s,
            trigger=request.trigger,
            labels=request.body.get("labels"),
            traceparent=request.traceparent,
        )

    def refuse_when_stopping(self) -> None:
        """Accept nothing new once the server is shutting down.

        Raises:
            StoppingError: it is.
        """
        if self.stopping.is_set():
            raise _stopping({})

    def _read_stamps(self) -> list[tuple[int, int] | None]:
        project = self.app.project
        files = [project.file, project.file.with_name(".env"), *project.workflow_paths]
        return [_stamp(file) for file in files]

    async def _until_ended(self, execution_id: str) -> Document:
        while True:
            await self.app.runtime.wait(execution_id)
            run, document = await self._read(execution_id)
            if run.status.is_final:
                return document
            await asyncio.sleep(_POLL_S)

    async def _read(self, execution_id: str) -> tuple[Execution, Document]:
        return await self.app.database.read_async(partial(read_run, execution_id=execution_id))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _check_same(known: Execution, new: NewExecution, request: StartRequest) -> None:
    if request.key is None:
        check_same_run(known, new, has_input=request.given is not None)
    elif known.definition.get("request") != new.definition["request"]:
        raise IdempotencyError(
            "this Idempotency-Key was used with another body",
            hint="use a new key for a new request",
            details={"execution_id": known.workflow_exec_id},
        )


def _stopping(details: Document) -> StoppingError:
    return StoppingError(
        "the server is shutting down", hint="retry when it runs again; accepted runs are not lost", details=details
    )
