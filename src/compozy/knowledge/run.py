"""An ingestion as a run: its request, the checks before it is accepted, and the acceptance."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.config.addresses import check_document_address
from compozy.database.database import Database
from compozy.database.documents import find_open_ingestion, list_documents
from compozy.database.executions import Execution, NewExecution, check_execution_id
from compozy.database.trigger import Trigger
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.runtime import Runtime
from compozy.errors import ConflictError, NotFoundError, UsageError
from compozy.ids import new_execution_id
from compozy.knowledge.base import KnowledgeProject
from compozy.knowledge.sources import Look, SourceScope, is_address, look_at
from compozy.nearest import suggest

KIND = "ingestion"
"""The kind in the definition of such a run."""
TASK = "ingest"


@dataclass(frozen=True, kw_only=True)
class IngestRequest:
    """The documents to ingest.

    Attributes:
        path: a file, a folder or a pattern of files, from the project's folder; None for the sources of the base.
        reindex: empty the store first, and take everything in anew.
        retry: take those in again that failed, though they are the same.
        failed_only: look at nothing but what failed before; `path` is None then.
        repair: look at nothing but what database and store disagree about; `path` is None then.
    """

    knowledge_base_id: str
    path: str | None = None
    reindex: bool = False
    retry: bool = False
    failed_only: bool = False
    repair: bool = False


def workflow_id_of(base_id: str) -> str:
    """Return what an ingestion is called among runs; no workflow can have this name."""
    return f"knowledge/{base_id}"


def is_ingestion(run: Execution | NewExecution) -> bool:
    """Return whether a run takes documents in."""
    return run.definition.get("kind") == KIND


async def check_request(project: KnowledgeProject, database: Database | None, request: IngestRequest) -> None:
    """Refuse what cannot be taken in, before a run of it is stored.

    Args:
        project: the project's knowledge.
        database: None where there is none yet.
        request: what is asked for.

    Raises:
        NotFoundError: there is no such knowledge base, or nothing at the path and nothing known from there.
        UsageError: the path leads out of the project, is of an unsupported type, or is missing.
    """
    base = project.base(request.knowledge_base_id)
    if request.failed_only or request.repair:
        return
    if request.path is None:
        if not base.settings.sources:
            hint = "name a PATH, or write `sources` of the knowledge base into compozy.yaml"
            raise UsageError(f"knowledge base {base.id!r} has no sources", hint=hint)
        return
    if is_address(request.path):
        problem = check_document_address(request.path)
        if problem is not None:
            raise UsageError(f"the address of a document {problem}")
        return
    look = await asyncio.to_thread(look_at, request.path, reach=project.reach)
    if look.is_missing and not await _knows_any(database, base.id, look.scope):
        raise _nothing_at(request.path, look)


async def start_ingestion(
    runtime: Runtime,
    database: Database,
    request: IngestRequest,
    trigger: Trigger,
    *,
    traceparent: str | None = None,
) -> str:
    """Accept an ingestion and return its id; one that was asked for in the same words and is not done is joined.

    `traceparent` is the W3C trace context of the request that starts it.

    Raises:
        ConflictError: the knowledge base takes in something else just now.
    """
    return await _accept(runtime, database, replace(_prepare(request), trigger=trigger, traceparent=traceparent))


def repeat_ingestion(source: Execution, *, new_id: str | None) -> NewExecution:
    """Return the run that takes in again what the ingestion `source` took in, and tries again what failed.

    Args:
        source: the ingestion.
        new_id: id of the new run; None makes one.
    """
    request = replace(IngestRequest(**source.input), retry=True)
    return _prepare(request, new_id=new_id, rerun_of=source.workflow_exec_id)


def request_of(new: NewExecution) -> IngestRequest:
    """Return what an ingestion was asked for."""
    return IngestRequest(**new.input)


async def start_again(runtime: Runtime, database: Database, new: NewExecution) -> bool:
    """Accept what `repeat_ingestion` returned; False when a run of its id is there already.

    Raises:
        ConflictError: the knowledge base takes something in just now.
    """
    if await runtime.submit(new, TASK, kind=KIND):
        return True
    under_way = await database.read_async(partial(find_open_ingestion, workflow_id=new.workflow_id))
    if under_way is not None and under_way[0] != new.workflow_exec_id:
        raise _occupied(under_way)
    return False


def _prepare(request: IngestRequest, *, new_id: str | None = None, rerun_of: str | None = None) -> NewExecution:
    return NewExecution(
        workflow_exec_id=new_execution_id() if new_id is None else check_execution_id(new_id),
        workflow_id=workflow_id_of(request.knowledge_base_id),
        input=asdict(request),
        definition={"kind": KIND},
        journal_format=JOURNAL_FORMAT,
        deadline_ms=None,
        rerun_of=rerun_of,
        is_alone=True,
    )


async def _accept(runtime: Runtime, database: Database, new: NewExecution) -> str:
    while not await runtime.submit(new, TASK, kind=KIND):
        under_way = await database.read_async(partial(find_open_ingestion, workflow_id=new.workflow_id))
        if under_way is not None:
            return await _join(runtime, under_way, new)
    return new.workflow_exec_id


async def _join(runtime: Runtime, under_way: tuple[str, Any], new: NewExecution) -> str:
    if asdict(IngestRequest(**under_way[1])) != new.input:
        raise _occupied(under_way)
    await runtime.adopt(under_way[0])
    return under_way[0]


def _occupied(under_way: tuple[str, Any]) -> ConflictError:
    known_id, known = under_way[0], IngestRequest(**under_way[1])
    what = "what failed before" if known.failed_only else known.path or "its sources"
    if known.repair:
        what = "what database and store disagree about"
    return ConflictError(
        f"knowledge base {known.knowledge_base_id!r} takes in {what} just now",
        hint=f"wait for it: `compozy workflow get {known_id} --wait`",
        http_hint=f"wait for it: GET /api/v0/executions/workflows/{known_id}",
        details={"execution_id": known_id},
    )


async def _knows_any(database: Database | None, base_id: str, scope: SourceScope) -> bool:
    """Return whether the knowledge base holds documents from a place where nothing is any more."""

    def find(connection: sa.Connection) -> bool:
        return any(scope.covers(row.document) for row in list_documents(connection, base_id))

    return database is not None and await database.read_async(find)


def _nothing_at(path: str, look: Look) -> NotFoundError:
    if look.scope.patterns:
        return NotFoundError(f"no file fits the pattern {path!r}", hint="it counts from the project's folder")
    hint = suggest(path.rpartition("/")[2], look.neighbours) or "name a file, a folder or a pattern"
    return NotFoundError(f"{path!r} not found in the project's folder", hint=hint)
