"""An ingestion as a run like any other: what it is asked for, and how it is accepted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from compozy.database.database import Database
from compozy.database.documents import find_open_ingestion
from compozy.database.executions import NewExecution
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.runtime import Runtime
from compozy.errors import ConflictError
from compozy.ids import new_execution_id

KIND = "ingestion"
"""What the definition of such a run says that it is."""
TASK = "ingest"


@dataclass(frozen=True, kw_only=True)
class IngestRequest:
    """What shall be taken in.

    Attributes:
        path: a file, a folder or a pattern of files, from the project's folder; None for the sources of the base.
        reindex: empty the store first, and take everything in anew.
        retry: take those in again that failed, though they are the same.
    """

    knowledge_base_id: str
    path: str | None = None
    reindex: bool = False
    retry: bool = False


def workflow_id_of(base_id: str) -> str:
    """Return what an ingestion is called among runs; no workflow can have this name."""
    return f"knowledge/{base_id}"


def prepare_ingestion(request: IngestRequest) -> NewExecution:
    """Return the run that takes documents in."""
    return NewExecution(
        workflow_exec_id=new_execution_id(),
        workflow_id=workflow_id_of(request.knowledge_base_id),
        input=asdict(request),
        definition={"kind": KIND},
        journal_format=JOURNAL_FORMAT,
        deadline_ms=None,
    )


async def start_ingestion(runtime: Runtime, database: Database, request: IngestRequest) -> str:
    """Accept an ingestion and return its id; one that was asked for in the same words and is not done is joined.

    Raises:
        ConflictError: the knowledge base takes in something else just now.
    """
    new = prepare_ingestion(request)
    under_way = await database.read_async(lambda connection: find_open_ingestion(connection, new.workflow_id))
    if under_way is None:
        await runtime.submit(new, first_task=TASK, kind=KIND)
        return new.workflow_exec_id
    known_id, known = under_way
    if known != new.input:
        raise ConflictError(
            f"knowledge base {request.knowledge_base_id!r} takes in {_describe(known)} just now",
            hint=f"wait for it: `compozy workflow get {known_id} --wait`",
            details={"execution_id": known_id},
        )
    await runtime.adopt(known_id)
    return known_id


def _describe(known: dict[str, Any]) -> str:
    return known["path"] or "its sources"
