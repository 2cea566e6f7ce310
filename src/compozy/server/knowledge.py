"""The paths under /api/v0/knowledge-bases. Each calls one verb of `compozy.knowledge`."""

from __future__ import annotations

import asyncio
import base64
import binascii
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from compozy.app import App
from compozy.database.documents import DocumentStatus
from compozy.database.executions import get_execution
from compozy.errors import UsageError
from compozy.knowledge import verbs
from compozy.knowledge.config import MAX_TOP_K, KnowledgeBinding, Mode
from compozy.knowledge.ingest import progress_of
from compozy.knowledge.read.kinds import SUFFIXES
from compozy.knowledge.run import IngestRequest, check_request, start_ingestion
from compozy.server.body import ParsedRoute
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of
from compozy.server.triggers import trigger_of
from compozy.telemetry.traces import traceparent_for_runs
from compozy.workflow.documents import execution_document

# Where uploads are kept, in the project's folder: they are documents like others, and can be taken in again.
UPLOADS = "data/uploads"
_MAX_UPLOADS = 100

BaseId = Annotated[str, Path(description="Knowledge base ID.", max_length=128)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Upload(_Body):
    """One document: its name, and its content as text or in base64."""

    name: str = Field(min_length=1, max_length=200, description="File name; its extension determines the type.")
    text: str | None = Field(default=None, description="Content of a text file.")
    base64: str | None = Field(default=None, description="Content of any file, in base64.")


class IngestBody(_Body):
    """Documents to ingest: a path of the project, or uploads; with neither, the sources of the knowledge base."""

    path: str | None = Field(default=None, min_length=1, max_length=4096, description="File, folder or pattern.")
    documents: tuple[Upload, ...] = Field(default=(), max_length=_MAX_UPLOADS, description="Documents to keep.")
    reindex: bool = Field(default=False, description="Empty the store first.")
    retry: bool = Field(default=False, description="Also ingest unchanged documents that failed before.")


class QueryBody(_Body):
    """A question."""

    query: str = Field(min_length=1, max_length=20_000, description="Question or words to search for.")
    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K, description="Most passages.")
    min_score: float | None = Field(default=None, ge=-1, le=1, description="Least similarity.")
    max_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Largest number of tokens of all passages."
    )
    mode: Mode | None = Field(default=None, description="Search mode.")
    filters: dict[str, str] | None = Field(default=None, description="Metadata that passages must have.")


class KnowledgeBaseInfo(BaseModel):
    """A knowledge base of the project."""

    id: str
    description: str | None
    vector_db: str
    provider: str
    collection: str
    embedder: str = Field(description="The embedder of its documents.")
    default_embedder: str = Field(description="The embedder that `reindex` would use.")
    dimension: int | None
    metric: str
    chunk_size: int
    ingest: str
    documents: dict[str, int] = Field(description="Number of documents by state.")
    chunks: int
    ingestion: str | None = Field(description="The execution that is ingesting documents.")
    last_error: dict[str, Any] | None = Field(
        description="Reason why the last ingestion failed, with its execution ID."
    )


class KnowledgeBaseList(BaseModel):
    """All knowledge bases of the project."""

    knowledge_bases: list[KnowledgeBaseInfo]


class CountedDocuments(BaseModel):
    """How many documents there are, and the first 100 of them."""

    count: int
    documents: list[str]


class KnowledgeBaseCheck(BaseModel):
    """Differences between the database and the vector store of a knowledge base."""

    id: str
    vector_db: str
    provider: str
    collection: str
    documents: dict[str, int] = Field(description="Number of documents in the database by state.")
    ingestion: str | None = Field(description="The execution that is ingesting documents.")
    last_error: dict[str, Any] | None = Field(
        description="Reason why the last ingestion failed, with its execution ID."
    )
    owner: str | None = Field(description="Project and knowledge base that the collection records as its owner.")
    agrees: bool = Field(description="Whether database and store agree and no document failed.")
    repairable: bool = Field(description="False if the collection may hold documents of other projects.")
    unlisted: CountedDocuments = Field(description="In the store, not listed in the database.")
    missing: CountedDocuments = Field(description="Listed in the database, not in the store.")
    outdated: CountedDocuments = Field(description="In the store with other chunks than the database recorded.")
    pending: CountedDocuments = Field(description="Listed in the database, not ingested yet.")
    failed: list[dict[str, Any]] = Field(description="The first 100 documents that could not be read.")
    error: dict[str, Any] | None = Field(description="Reason why the store cannot be used.")


class MatchInfo(BaseModel):
    """A passage."""

    document: str
    title: str
    chunk: int = Field(description="Its position in the document, from 0.")
    page: int | None = Field(default=None, description="The page of a PDF that it starts on, from 1; PDFs only.")
    score: float
    text: str
    metadata: dict[str, str]


class MatchList(BaseModel):
    """Passages, best first."""

    knowledge_base_id: str
    mode: str
    matches: list[MatchInfo]


class DocumentInfo(BaseModel):
    """A document and its state."""

    document: str
    status: DocumentStatus
    title: str
    size: int
    chunks: int
    error: dict[str, Any] | None
    execution_id: str


class DocumentList(BaseModel):
    """A page of documents by name."""

    knowledge_base_id: str
    documents: list[DocumentInfo]
    next_cursor: str | None


class Ingestion(BaseModel):
    """An ingestion: its execution and its progress."""

    execution_id: str
    knowledge_base_id: str
    status: str
    progress: dict[str, int]
    output: dict[str, Any] | None
    error: dict[str, Any] | None


class Deleted(BaseModel):
    """How many documents were deleted."""

    knowledge_base_id: str
    deleted: int


router = APIRouter(
    prefix=f"{PREFIX}/knowledge-bases",
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["knowledge"],
)


@router.get("", response_model=KnowledgeBaseList)
async def list_knowledge_bases(request: Request) -> JsonResponse:
    """The knowledge bases of the project."""
    app = _app(request)
    return JsonResponse(await verbs.list_bases(app.knowledge, app.database))


@router.get("/{base_id}", response_model=KnowledgeBaseInfo, responses=problems(404))
async def get_knowledge_base(request: Request, base_id: BaseId) -> JsonResponse:
    """One knowledge base."""
    app = _app(request)
    return JsonResponse(await verbs.describe_base(app.knowledge, app.knowledge.project.base(base_id), app.database))


@router.get("/{base_id}/documents", response_model=DocumentList, responses=problems(404))
async def list_documents(
    request: Request,
    base_id: BaseId,
    limit: Annotated[int, Query(ge=1, le=1000, description="Documents on a page.")] = 100,
    cursor: Annotated[str, Query(max_length=4096, description="`next_cursor` of the previous page.")] = "",
    status: Annotated[DocumentStatus | None, Query(description="Only those in this state.")] = None,
) -> JsonResponse:
    """The documents of a knowledge base with their states."""
    app = _app(request)
    base = app.knowledge.project.base(base_id)
    if "\0" in cursor:
        raise UsageError("use the `next_cursor` of the previous page")
    return JsonResponse(await verbs.list_status(base, app.database, limit=limit, after=cursor, status=status))


@router.get("/{base_id}/check", response_model=KnowledgeBaseCheck, responses=problems(404))
async def check_knowledge_base(request: Request, base_id: BaseId) -> JsonResponse:
    """Compare the documents that the database lists with those that the vector store holds."""
    app = _app(request)
    return JsonResponse(await verbs.check_base(app.knowledge, app.knowledge.project.base(base_id), app.database))


@router.post("/{base_id}/ingest", status_code=202, response_model=Ingestion, responses=problems(404, 409, 502))
async def ingest_documents(request: Request, base_id: BaseId, body: IngestBody | None = None) -> JsonResponse:
    """Ingest documents. The answer contains the execution, which continues even if the server restarts."""
    app, given = _app(request), body or IngestBody()
    base = app.knowledge.project.base(base_id)
    path = given.path
    if given.documents:
        if path is not None:
            raise UsageError("give either a path or documents, not both")
        path = await asyncio.to_thread(_keep_uploads, app, base.id, given.documents)
    wanted = IngestRequest(knowledge_base_id=base.id, path=path, reindex=given.reindex, retry=given.retry)
    return await _start(request, wanted)


@router.post("/{base_id}/retry", status_code=202, response_model=Ingestion, responses=problems(404, 409, 502))
async def retry_documents(request: Request, base_id: BaseId) -> JsonResponse:
    """Ingest failed documents again."""
    base = _app(request).knowledge.project.base(base_id)
    return await _start(request, IngestRequest(knowledge_base_id=base.id, retry=True, failed_only=True))


@router.post("/{base_id}/repair", status_code=202, response_model=Ingestion, responses=problems(404, 409, 502))
async def repair_knowledge_base(request: Request, base_id: BaseId) -> JsonResponse:
    """Ingest documents again that differ in the store, and delete those that the database does not list."""
    base = _app(request).knowledge.project.base(base_id)
    return await _start(request, IngestRequest(knowledge_base_id=base.id, repair=True))


async def _start(request: Request, wanted: IngestRequest) -> JsonResponse:
    """Accept an ingestion; invalid requests are refused before anything is stored."""
    app, base_id = _app(request), wanted.knowledge_base_id
    await check_request(app.knowledge.project, app.database, wanted)
    service_of(request).refuse_when_stopping()
    execution_id = await start_ingestion(
        app.runtime, app.database, wanted, trigger_of(request), traceparent=traceparent_for_runs()
    )
    headers = {"Location": f"{PREFIX}/knowledge-bases/{base_id}/ingestions/{execution_id}"}
    return JsonResponse(await _ingestion(app, base_id, execution_id), status_code=202, headers=headers)


@router.get("/{base_id}/ingestions/{execution_id}", response_model=Ingestion, responses=problems(404))
async def get_ingestion(
    request: Request, base_id: BaseId, execution_id: Annotated[str, Path(description="Execution ID.")]
) -> JsonResponse:
    """The progress of an ingestion."""
    app = _app(request)
    base = app.knowledge.project.base(base_id)
    # Judges the id, and says so where there is none.
    await service_of(request).get(execution_id)
    return JsonResponse(await _ingestion(app, base.id, execution_id))


@router.post("/{base_id}/query", response_model=MatchList, responses=problems(404, 502))
async def query_knowledge_base(request: Request, base_id: BaseId, body: QueryBody) -> JsonResponse:
    """The passages that answer a question."""
    app = _app(request)
    base = app.knowledge.project.base(base_id)
    given = body.model_dump(exclude={"query"}, exclude_none=True)
    binding = KnowledgeBinding(knowledge_base_id=base.id, **given)
    return JsonResponse(await verbs.ask(app.knowledge, base, body.query, binding))


@router.delete("/{base_id}", response_model=Deleted, responses=problems(404, 409))
async def delete_knowledge_base(
    request: Request,
    base_id: BaseId,
    document: Annotated[str | None, Query(max_length=4096, description="Only this document.")] = None,
) -> JsonResponse:
    """Delete the contents of a knowledge base; the source documents are kept."""
    app = _app(request)
    base = app.knowledge.project.base(base_id)
    if document is not None and "\0" in document:
        raise UsageError("no document has this name")
    return JsonResponse(await verbs.delete(app.knowledge, base, app.database, document))


def _app(request: Request) -> App:
    return service_of(request).app


async def _ingestion(app: App, base_id: str, execution_id: str) -> dict[str, Any]:
    run = execution_document(await app.database.read_async(partial(get_execution, workflow_exec_id=execution_id)))
    progress = await app.database.read_async(partial(progress_of, base_id=base_id, run_id=execution_id))
    kept = {key: run[key] for key in ("execution_id", "status", "output", "error")}
    return {**kept, "knowledge_base_id": base_id, "progress": progress}


def _keep_uploads(app: App, base_id: str, uploads: tuple[Upload, ...]) -> str:
    """Write uploads into the project's folder, and return the folder that they are in."""
    root = app.knowledge.project.reach.root
    contents = [(_file_name(upload.name), _content(upload)) for upload in uploads]
    folder = app.knowledge.project.reach.confine(f"{UPLOADS}/{base_id}", base=root)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents:
        # Under another name first: who reads it meanwhile reads the one before, or this one.
        place = folder / f".{name}.new"
        place.write_bytes(content)
        place.replace(folder / name)
    return f"{UPLOADS}/{base_id}"


def _file_name(name: str) -> str:
    path = PurePosixPath(name)
    is_plain = path.name == name and "\\" not in name and not name.startswith(".") and name.isprintable()
    if not is_plain or len(name.encode()) > 200:
        raise UsageError(
            f"{name!r} is not a file name", hint="a name contains no folders and does not start with a dot"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{name!r} is of an unsupported type", hint=f"supported types: {', '.join(sorted(SUFFIXES))}")
    return name


def _content(upload: Upload) -> bytes:
    if (upload.text is None) == (upload.base64 is None):
        raise UsageError(f"document {upload.name!r} needs either `text` or `base64`")
    if upload.text is not None:
        return upload.text.encode("utf-8", errors="replace")
    try:
        return base64.b64decode(upload.base64 or "", validate=True)
    except binascii.Error as error:
        raise UsageError(f"the content of {upload.name!r} is not base64") from error
