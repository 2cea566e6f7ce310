"""Operations of commands and servers on knowledge bases, and their result documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.documents import (
    DocumentStatus,
    KnowledgeDocument,
    count_documents,
    delete_documents,
    find_failed_ingestion,
    find_open_ingestion,
    list_documents,
)
from compozy.errors import ConflictError, KnowledgeError, NotFoundError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.compare import Differences, check_owner, compare, owns
from compozy.knowledge.config import KnowledgeBinding
from compozy.knowledge.ingest_batch import failure_of
from compozy.knowledge.passages import page_of
from compozy.knowledge.retrieve import make_query, retrieve
from compozy.knowledge.run import workflow_id_of
from compozy.knowledge.store.protocol import Match

Document = dict[str, Any]

_CHECKED = ("id", "vector_db", "provider", "collection", "documents", "ingestion", "last_error")
MAX_SHOWN = 100
"""Documents of each kind that `check` names; it counts all of them."""


async def list_bases(catalog: KnowledgeCatalog, database: Database | None) -> Document:
    """Return every knowledge base of the project; `database` is None where nothing was taken in yet."""
    bases = catalog.project.bases().values()
    return {"knowledge_bases": [await describe_base(catalog, base, database) for base in bases]}


async def describe_base(catalog: KnowledgeCatalog, base: KnowledgeBase, database: Database | None) -> Document:
    """Return one knowledge base: what it is made of, and how many documents it holds.

    Raises:
        KnowledgeError: it may keep another embedder than the default, and its store cannot tell.
    """
    counts: Mapping[str, tuple[int, int]] = {}
    ingestion = failed = None
    if database is not None:
        counts = await database.read_async(partial(count_documents, base_id=base.id))
        under_way = await database.read_async(partial(find_open_ingestion, workflow_id=workflow_id_of(base.id)))
        ingestion = under_way[0] if under_way else None
        failed = await database.read_async(partial(find_failed_ingestion, workflow_id=workflow_id_of(base.id)))
    kept = base
    if counts and base.alternatives:
        facts = await catalog.store(base).facts()
        kept = base if facts is None else base.with_embedder(facts.embedder)
    return {
        "id": base.id,
        "description": base.settings.description,
        "vector_db": base.store.id,
        "provider": base.store.provider,
        "collection": base.collection,
        "embedder": kept.embedder.name,
        "default_embedder": base.embedder.name,
        "dimension": base.store.dimension or kept.embedder.dimension,
        "metric": base.store.metric,
        "chunk_size": kept.chunk_size,
        "ingest": base.settings.ingest,
        "documents": {status.value.lower(): counts.get(status, (0, 0))[0] for status in DocumentStatus},
        "chunks": sum(chunks for _, chunks in counts.values()),
        "ingestion": ingestion,
        "last_error": {"execution_id": failed[0], **failed[1]} if failed else None,
    }


async def ask(catalog: KnowledgeCatalog, base: KnowledgeBase, text: str, binding: KnowledgeBinding) -> Document:
    """Return the passages that answer a question.

    Raises:
        KnowledgeError: the knowledge base cannot be asked.
    """
    query = make_query(base, text, binding)
    matches = await retrieve(catalog, base, query)
    return {
        "knowledge_base_id": base.id,
        "mode": query.mode,
        "matches": [match_document(match) for match in matches],
    }


def match_document(match: Match) -> Document:
    """Return one passage as JSON."""
    return {
        "document": match.document,
        "title": match.title,
        "chunk": match.ordinal,
        **page_of(match),
        "score": match.shown_score,
        "text": match.text,
        "metadata": dict(match.metadata),
    }


async def list_status(
    base: KnowledgeBase,
    database: Database | None,
    *,
    limit: int,
    after: str = "",
    status: DocumentStatus | None = None,
) -> Document:
    """Return the documents of a knowledge base by name, and the name to continue after; None on the last page."""
    found: list[KnowledgeDocument] = []
    if database is not None:
        query = partial(list_documents, base_id=base.id, limit=limit + 1, after=after, status=status)
        found = await database.read_async(query)
    page = found[:limit]
    return {
        "knowledge_base_id": base.id,
        "documents": [_row_document(row) for row in page],
        "next_cursor": page[-1].document if len(found) > limit else None,
    }


async def check(catalog: KnowledgeCatalog, database: Database | None, base_id: str | None = None) -> Document:
    """Compare list and store of one knowledge base, or of all; an error of one of them does not hide the others."""
    project = catalog.project
    bases = [project.base(base_id)] if base_id is not None else list(project.bases().values())
    return {"knowledge_bases": [await check_base(catalog, base, database) for base in bases]}


async def check_base(catalog: KnowledgeCatalog, base: KnowledgeBase, database: Database | None) -> Document:
    """Return what the database lists of a knowledge base, what its store holds, and where they disagree.

    Raises:
        DatabaseError: the database cannot be read.
    """
    described = await describe_base(catalog, replace(base, alternatives=()), database)
    differences, owner, is_ours, error = Differences(), "", True, None
    try:
        store = catalog.store(base)
        facts = await store.facts()
        owner, is_ours = (facts.owner, owns(base, facts)) if facts is not None else ("", True)
        differences = await compare(base, store, database)
        check_owner(base, facts)
        await catalog.check(base)
    except KnowledgeError as failure:
        error = failure.to_json()
    failed = await _first(base, database, DocumentStatus.FAILED)
    pending = await _first(base, database, DocumentStatus.PENDING)
    # Without an ingestion that will come to them they are lost from sight.
    is_left = bool(pending) and described["ingestion"] is None
    return {
        **{key: described[key] for key in _CHECKED},
        "owner": owner or None,
        "agrees": not differences and error is None and not is_left,
        "repairable": is_ours or not differences.unlisted,
        "unlisted": _counted(differences.unlisted),
        "missing": _counted(differences.missing),
        "outdated": _counted(differences.outdated),
        "pending": {"count": described["documents"]["pending"], "documents": [row.document for row in pending]},
        "failed": [failure_of(row.document, row.error or {}) for row in failed],
        "error": error,
    }


async def _first(base: KnowledgeBase, database: Database | None, status: DocumentStatus) -> list[KnowledgeDocument]:
    """Return the first documents of a status that the database lists."""
    if database is None:
        return []
    return await database.read_async(partial(list_documents, base_id=base.id, status=status, limit=MAX_SHOWN))


def _counted(names: Sequence[str]) -> Document:
    return {"count": len(names), "documents": list(names[:MAX_SHOWN])}


async def delete(
    catalog: KnowledgeCatalog, base: KnowledgeBase, database: Database, document: str | None = None
) -> Document:
    """Delete what a knowledge base holds, all of it or one document, whether or not the database lists it.

    Raises:
        NotFoundError: neither database nor store has such a document.
        VectorStoreError: the collection belongs to another knowledge base or project.
        ConflictError: it takes documents in just now.
    """
    under_way = await database.read_async(partial(find_open_ingestion, workflow_id=workflow_id_of(base.id)))
    if under_way is not None:
        raise ConflictError(
            f"knowledge base {base.id!r} takes documents in just now",
            hint=f"wait for it: `compozy workflow get {under_way[0]} --wait`",
            http_hint=f"wait for it: GET /api/v0/executions/workflows/{under_way[0]}",
        )
    store = catalog.store(base)
    check_owner(base, await store.facts())
    if document is None:
        # The rows first: documents without a row are ingested again.
        held = await database.write_async(partial(_delete_all, base_id=base.id))
        await store.reset(None)
        return {"knowledge_base_id": base.id, "deleted": held}
    known = await database.read_async(partial(list_documents, base_id=base.id, documents=[document]))
    if not known and document not in await store.documents():
        raise NotFoundError(
            f"knowledge base {base.id!r} has no document {document!r}",
            hint="see `compozy knowledge status`",
            http_hint=f"list them: GET /api/v0/knowledge-bases/{base.id}/documents",
        )
    await store.prune({document: ()})
    await database.write_async(partial(delete_documents, base_id=base.id, documents=[document]))
    return {"knowledge_base_id": base.id, "deleted": 1}


def _delete_all(connection: sa.Connection, base_id: str) -> int:
    held = sum(count for count, _ in count_documents(connection, base_id).values())
    delete_documents(connection, base_id)
    return held


def _row_document(row: KnowledgeDocument) -> Document:
    error = dict(row.error) if row.error else None
    if error is not None:
        error.pop("hash", None)
    return {
        "document": row.document,
        "status": row.status.value,
        "title": row.title,
        "size": row.size,
        "chunks": row.chunks,
        "error": error,
        "execution_id": row.workflow_exec_id,
    }
