"""Rows of `knowledge_documents`: the documents of each knowledge base, and their ingestion state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import OPEN, Status
from compozy.database.tables import insert_if_new, knowledge_documents, workflow_states

_AT_ONCE = 500
_T = knowledge_documents.c


class DocumentStatus(StrEnum):
    """Ingestion state of a document. FAILED documents are ingested again when they change, or by `retry`."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class KnowledgeDocument:
    """One row.

    Attributes:
        hash: of the bytes whose chunks the store holds, "" while it does not hold them all.
        recipe: what the chunks depend on besides the bytes, then a colon and the digest of the stored chunks.
    """

    knowledge_base_id: str
    document: str
    status: DocumentStatus
    hash: str
    recipe: str
    title: str
    size: int
    chunks: int
    error: dict[str, Any] | None
    workflow_exec_id: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, kw_only=True)
class DocumentEnd:
    """Result of ingesting one document; `recipe` is what its row says afterwards."""

    document: str
    status: DocumentStatus
    recipe: str
    hash: str = ""
    title: str = ""
    size: int = 0
    chunks: int = 0
    error: dict[str, Any] | None = None


def list_documents(
    connection: sa.Connection,
    base_id: str,
    *,
    documents: Collection[str] | None = None,
    status: DocumentStatus | None = None,
    limit: int | None = None,
    after: str = "",
) -> list[KnowledgeDocument]:
    """Return documents of a knowledge base, ordered by name.

    Args:
        connection: a connection for reading.
        base_id: the knowledge base ID.
        documents: return only these.
        status: return only documents in this state.
        limit: maximum number of documents.
        after: return only documents whose names sort after this one.
    """
    query = sa.select(knowledge_documents).where(_T.knowledge_base_id == base_id).order_by(_T.document)
    if status is not None:
        query = query.where(_T.status == status)
    if after:
        query = query.where(_T.document > after)
    if documents is None:
        return [_document(row) for row in connection.execute(query.limit(limit)).mappings()]
    names = sorted(documents)
    return [
        _document(row)
        for start in range(0, len(names), _AT_ONCE)
        for row in connection.execute(query.where(_T.document.in_(names[start : start + _AT_ONCE]))).mappings()
    ]


def count_documents(
    connection: sa.Connection, base_id: str, *, run_id: str | None = None
) -> dict[str, tuple[int, int]]:
    """Return the number of documents and chunks by state, optionally of one ingestion."""
    query = (
        sa.select(_T.status, sa.func.count(), sa.func.coalesce(sa.func.sum(_T.chunks), 0))
        .where(_T.knowledge_base_id == base_id)
        .group_by(_T.status)
    )
    if run_id is not None:
        query = query.where(_T.workflow_exec_id == run_id)
    return {status: (count, int(chunks)) for status, count, chunks in connection.execute(query)}


def plan_documents(
    connection: sa.Connection, base_id: str, run_id: str, changed: Sequence[tuple[str, int, bool]]
) -> None:
    """Record the documents that an ingestion is going to ingest.

    Args:
        connection: a connection in a transaction.
        base_id: the knowledge base ID.
        run_id: the ingestion's run ID.
        changed: for each document its name, its size, and whether its stored chunks are still valid if it is unchanged.
    """
    now = now_ms()
    values: dict[str, Any] = {"status": "PENDING", "workflow_exec_id": run_id, "updated_ms": now}
    fresh = {
        "knowledge_base_id": base_id,
        "hash": "",
        "recipe": "",
        "title": "",
        "chunks": 0,
        "created_ms": now,
        **values,
    }
    plan = _update_one(base_id).values(**values, size=sa.bindparam("_size"), error=sa.null())
    kept = [{"_document": name, "_size": size} for name, size, is_kept in changed if is_kept]
    others = [{"_document": name, "_size": size} for name, size, is_kept in changed if not is_kept]
    if changed:
        rows = [{**fresh, "document": name, "size": size} for name, size, _ in changed]
        # With RETURNING, several rows are one statement.
        connection.execute(insert_if_new(knowledge_documents).returning(knowledge_documents.c.document), rows)
    if kept:
        connection.execute(plan, kept)
    if others:
        connection.execute(plan.values(hash="", chunks=0), others)


def mark_documents_changing(connection: sa.Connection, base_id: str, documents: Sequence[str]) -> None:
    """Mark documents whose chunks are about to change in the store: until they end, no stored version is complete."""
    connection.execute(
        sa.update(knowledge_documents)
        .where(_T.knowledge_base_id == base_id, _T.document.in_(documents))
        .values(hash="", chunks=0, updated_ms=now_ms())
    )


def count_chunks(connection: sa.Connection, base_id: str, stored: Mapping[str, int]) -> None:
    """Note how many chunks of documents are stored so far."""
    if stored:
        update = _update_one(base_id).values(chunks=sa.bindparam("_chunks"), updated_ms=now_ms())
        connection.execute(update, [{"_document": name, "_chunks": count} for name, count in stored.items()])


def end_documents(connection: sa.Connection, base_id: str, ends: Sequence[DocumentEnd]) -> None:
    """Store the results of documents."""
    written = ("status", "recipe", "hash", "size", "chunks", "title")
    update = _update_one(base_id).values(**{name: sa.bindparam(f"_{name}") for name in written}, updated_ms=now_ms())
    good = [end for end in ends if end.error is None]
    for group, error in ((good, None), *(([end], end.error) for end in ends if end.error is not None)):
        if group:
            rows = [{f"_{name}": getattr(end, name) for name in ("document", *written)} for end in group]
            connection.execute(update.values(error=sa.null() if error is None else error), rows)


def _update_one(base_id: str) -> sa.Update:
    """Return the UPDATE of one row, with `_document` as a parameter."""
    return sa.update(knowledge_documents).where(
        _T.knowledge_base_id == base_id, _T.document == sa.bindparam("_document")
    )


def delete_documents(connection: sa.Connection, base_id: str, documents: Sequence[str] | None = None) -> None:
    """Delete the given documents, or all documents of the knowledge base."""
    delete = sa.delete(knowledge_documents).where(_T.knowledge_base_id == base_id)
    if documents is None:
        connection.execute(delete)
        return
    for start in range(0, len(documents), _AT_ONCE):
        connection.execute(delete.where(_T.document.in_(documents[start : start + _AT_ONCE])))


def find_open_ingestion(connection: sa.Connection, workflow_id: str) -> tuple[str, Any] | None:
    """Return the ID and input of the running ingestion, or None."""
    query = (
        sa.select(workflow_states.c.workflow_exec_id, workflow_states.c.input)
        .where(workflow_states.c.workflow_id == workflow_id, workflow_states.c.status.in_(OPEN))
        .order_by(workflow_states.c.created_ms)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (str(row[0]), row[1])


def find_failed_ingestion(connection: sa.Connection, workflow_id: str) -> tuple[str, dict[str, Any]] | None:
    """Return the ID and error of the last ingestion that ended, if it failed."""
    t = workflow_states.c
    query = (
        sa.select(t.workflow_exec_id, t.status, t.error)
        .where(t.workflow_id == workflow_id, t.status.notin_(OPEN))
        .order_by(t.created_ms.desc(), t.workflow_exec_id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None or row.status != Status.FAILED else (str(row.workflow_exec_id), row.error or {})


def _document(row: sa.RowMapping) -> KnowledgeDocument:
    values: dict[str, Any] = dict(row)
    values["status"] = DocumentStatus(values["status"])
    return KnowledgeDocument(**values)
