"""Documents become chunks in a vector store: a durable run of few steps, each of which may be done twice without harm.

look    which documents there are, by the hashes of what they hold
plan    which of them are new, changed or gone
take    up to `_DOCUMENTS_AT_ONCE` of them: read, cut, embedded, stored
drop    those that are gone
end

A step that was cut is done again. It asks the store which chunks are there and embeds only what is not, because the id
of a chunk is derived from its text: so nothing is bought twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.database.database import Database
from compozy.database.documents import (
    DocumentStatus,
    KnowledgeDocument,
    count_documents,
    delete_documents,
    list_documents,
    plan_documents,
)
from compozy.database.executions import Execution, finish_execution
from compozy.database.status import Status
from compozy.database.tasks import NewTask, TaskEnd, finish_task
from compozy.durable.step import step, transact
from compozy.errors import CompozyError, DatabaseError, KnowledgeError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog, check_dimension
from compozy.knowledge.compare import check_owner, compare, owns, recipe_in
from compozy.knowledge.ingest_batch import IngestBatch, failure_of
from compozy.knowledge.run import TASK, IngestRequest
from compozy.knowledge.sources import Found, FoundDocument, SourceScope, combine, find_again, find_path, find_sources
from compozy.knowledge.store.protocol import Facts
from compozy.knowledge.store.registry import STORES

_log = structlog.get_logger(__name__)
_DOCUMENTS_AT_ONCE = 64
_BYTES_AT_ONCE = 8 * 1024 * 1024


@dataclass(kw_only=True)
class _Counts:
    """The result of an ingestion.

    Attributes:
        failed: documents that could not be read, also before, where they are the same; the first of them in `failures`.
        unlisted: documents that were taken out of the store because the database does not list them.
        skipped: files that were left out; the first of them in `skipped_files`, each with its reason.
    """

    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    unchanged: int = 0
    failed: int = 0
    deleted: int = 0
    unlisted: int = 0
    skipped: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    skipped_files: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


_MAX_FAILURES = 100


@dataclass(frozen=True, kw_only=True)
class Ingestions:
    """Executes ingestions, one at a time for each knowledge base."""

    database: Database
    catalog: KnowledgeCatalog
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock])

    async def execute(self, run: Execution) -> None:
        """Execute one ingestion to its end, or resume it.

        Raises:
            DatabaseError: it cannot go on here; it stays open.
        """
        request = IngestRequest(**run.input)
        async with self._turns.setdefault(request.knowledge_base_id, asyncio.Lock()):
            try:
                output = await self._ingest(run, request)
            except DatabaseError:
                raise
            except CompozyError as error:
                await transact(f"{TASK}.end", partial(_record_end, run=run, error=error.to_json()))
                return
            await transact(f"{TASK}.end", partial(_record_end, run=run, output=output))

    async def _ingest(self, run: Execution, request: IngestRequest) -> dict[str, Any]:
        base = self.catalog.project.base(request.knowledge_base_id)
        is_new = await step(f"{TASK}.open", partial(self._open, base, request))
        looked = await step(f"{TASK}.look", partial(self._look, base, request, is_new))
        # Runs of earlier versions recorded no embedder.
        base = base.with_embedder(looked.get("embedder", base.embedder.name))
        planning = _Planning(base=base, request=request, run_id=run.workflow_exec_id, looked=looked, is_new=is_new)
        plan: dict[str, Any] = await transact(f"{TASK}.plan", planning.record)
        if request.path is not None and looked["missing"] and not plan["gone"]:
            raise KnowledgeError(
                f"{request.path!r} not found in the project's folder", hint="specify a file, a folder or a pattern"
            )
        counts = _Counts(
            unchanged=plan["unchanged"],
            failed=plan["failed"],
            failures=plan["failures"],
            deleted=len(plan["gone"]),
            unlisted=len(plan.get("unlisted", ())),
            skipped=looked["skipped"],
            skipped_files=[{"document": name, "reason": reason} for name, reason in looked["skipped_files"]],
        )
        batch = IngestBatch(database=self.database, catalog=self.catalog, base=base)
        for number, group in enumerate(_groups(plan["changed"])):
            _add(counts, await step(f"{TASK}.take.{number}", partial(batch.ingest, group)))
        if gone := [*plan["gone"], *plan.get("unlisted", ())]:
            await step(f"{TASK}.drop", partial(self._drop, base, gone))
        await step(f"{TASK}.settle", partial(self._settle, base))
        return self._output(base, counts)

    def _output(self, base: KnowledgeBase, counts: _Counts) -> dict[str, Any]:
        return {
            "knowledge_base_id": base.id,
            **asdict(counts),
            "store": STORES[base.store.provider].title,
            "embedder": base.embedder.name,
        }

    async def _open(self, base: KnowledgeBase, request: IngestRequest) -> bool:
        """Make the store ready, and return whether it is empty."""
        store = self.catalog.store(base)
        check_owner(base, await store.facts())
        if not request.reindex and await self.catalog.check(base) is not None:
            return False
        # An embedder's own description may be wrong: another server may be behind its address.
        (probe,) = await self.catalog.embedder(base).embed(["dimension"], is_query=False)
        check_dimension(base, len(probe))
        facts = Facts(embedder=base.embedder.name, dimension=len(probe), metric=base.store.metric, owner=base.owner)
        async with self.catalog.creating(self.database):
            await store.reset(facts)
        return True

    async def _look(self, base: KnowledgeBase, request: IngestRequest, is_new: bool) -> dict[str, Any]:
        """Return what documents there are, and where database and store disagree, as the journal keeps it."""
        kept = await self.catalog.check(base) or base
        reach = self.catalog.project.reach
        found = await self._find(base, request, is_new)
        if is_new:
            return {**_found_to_json(found), "embedder": kept.embedder.name}
        store = self.catalog.store(base)
        differences = await compare(base, store, self.database)
        again = await asyncio.to_thread(find_again, differences.distrusted, reach=reach)
        looked = _found_to_json(combine(found, again))
        looked["distrusted"] = list(differences.distrusted)
        looked["unlisted"] = await self._ours(base, differences.unlisted)
        looked["embedder"] = kept.embedder.name
        return looked

    async def _ours(self, base: KnowledgeBase, unlisted: Sequence[str]) -> list[str]:
        """Return documents in the store that the database does not list, if they certainly belong to this base."""
        if not unlisted:
            return []
        facts = await self.catalog.store(base).facts()
        if facts is not None and owns(base, facts):
            return list(unlisted)
        _log.warning(
            "the store holds documents that the database does not list, and does not record whose they are",
            knowledge_base=base.id,
            documents=len(unlisted),
        )
        return []

    async def _find(self, base: KnowledgeBase, request: IngestRequest, is_new: bool) -> Found:
        reach = self.catalog.project.reach
        if request.repair:
            # A store that was lost: all that it held is to be read again. Else what an earlier ingestion left undone.
            left = None if is_new else DocumentStatus.PENDING
            rows = await self.database.read_async(partial(list_documents, base_id=base.id, status=left))
            return await asyncio.to_thread(find_again, [row.document for row in rows], reach=reach)
        if request.failed_only:
            names = await self.database.read_async(partial(_unfinished, base_id=base.id))
            return await asyncio.to_thread(find_again, names, reach=reach)
        if request.path is None:
            return await asyncio.to_thread(find_sources, base.settings.sources, reach=reach)
        return await asyncio.to_thread(find_path, request.path, base=reach.root, reach=reach)

    async def _drop(self, base: KnowledgeBase, gone: Sequence[str]) -> None:
        store = self.catalog.store(base)
        await store.prune(dict.fromkeys(gone, ()))
        await self.database.write_async(partial(delete_documents, base_id=base.id, documents=gone))

    async def _settle(self, base: KnowledgeBase) -> None:
        await self.catalog.store(base).settle()


@dataclass(kw_only=True)
class _Planning:
    """Compares what there is with what the store holds, and notes what is to be done."""

    base: KnowledgeBase
    request: IngestRequest
    run_id: str
    looked: dict[str, Any]
    is_new: bool

    def record(self, connection: sa.Connection) -> dict[str, Any]:
        """Do so on `connection`, and return it for the journal.

        Returns:
            `{"changed": [[name, size]], "gone": [name], "unlisted": [name]}`, the number of those that are `unchanged`,
            of those that `failed` before and would again, and the first of their `failures`.
        """
        found, scope = _found_from_json(self.looked)
        distrusted = frozenset(self.looked.get("distrusted", ()))
        if self.is_new:
            # The store was created again: rows that describe the old one no longer count.
            delete_documents(connection, self.base.id)
        known = {row.document: row for row in list_documents(connection, self.base.id)}
        changed = [each for each in found if not self._is_done(known.get(each.id), each, distrusted)]
        taken = {each.id for each in changed}
        failed = [known[each.id] for each in found if each.id not in taken and _has_failed(known[each.id])]
        names = {each.id for each in found}
        gone = [name for name in known if name not in names and scope.covers(name)]
        planned = [(each.id, each.size, each.hash == "" and each.id not in distrusted) for each in changed]
        plan_documents(connection, self.base.id, self.run_id, planned)
        return {
            "changed": [[each.id, each.size] for each in changed],
            "gone": gone,
            "unlisted": [name for name in self.looked.get("unlisted", ()) if name not in names and name not in known],
            "unchanged": len(found) - len(changed) - len(failed),
            "failed": len(failed),
            "failures": [failure_of(row.document, row.error or {}) for row in failed[:_MAX_FAILURES]],
        }

    def _is_done(self, row: KnowledgeDocument | None, found: FoundDocument, distrusted: Collection[str]) -> bool:
        if row is None or found.id in distrusted or recipe_in(row) != self.base.recipe:
            return False
        if row.status is DocumentStatus.FAILED and not self.request.retry:
            # The same bytes would fail in the same way.
            return bool(found.hash) and (row.error or {}).get("hash") == found.hash
        return row.status is DocumentStatus.READY and row.hash == found.hash


def _unfinished(connection: sa.Connection, base_id: str) -> list[str]:
    """Return the documents that a knowledge base does not hold, though it was asked to."""
    rows = list_documents(connection, base_id)
    return [row.document for row in rows if row.status is not DocumentStatus.READY]


def _has_failed(row: KnowledgeDocument) -> bool:
    return row.status is DocumentStatus.FAILED


def progress_of(connection: sa.Connection, base_id: str, run_id: str) -> dict[str, int]:
    """Return how far an ingestion is: `total`, `done` and `chunks` of the documents that it takes in."""
    counts = count_documents(connection, base_id, run_id=run_id)
    total = sum(count for count, _ in counts.values())
    return {
        "total": total,
        "done": total - counts.get(DocumentStatus.PENDING, (0, 0))[0],
        "chunks": sum(chunks for _, chunks in counts.values()),
    }


def _groups(changed: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Return the names of documents in groups; a replay comes to the same ones."""
    groups: list[list[str]] = []
    size = 0
    for name, length in changed:
        if not groups or len(groups[-1]) >= _DOCUMENTS_AT_ONCE or size + length > _BYTES_AT_ONCE:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += length
    return groups


def _add(counts: _Counts, taken: dict[str, Any]) -> None:
    counts.documents += taken["documents"]
    counts.chunks += taken["chunks"]
    counts.embedded += taken["embedded"]
    counts.unchanged += taken["unchanged"]
    counts.failed += len(taken["failures"])
    counts.failures += taken["failures"][: _MAX_FAILURES - len(counts.failures)]


def _record_end(
    connection: sa.Connection, run: Execution, output: dict[str, Any] | None = None, error: dict[str, Any] | None = None
) -> None:
    status = Status.SUCCESS if error is None else Status.FAILED
    task = NewTask(workflow_exec_id=run.workflow_exec_id, workflow_id=run.workflow_id, path=TASK)
    end = TaskEnd(status=status, attempts=1, input=run.input, output=output, error=error)
    finish_task(connection, task.task_exec_id, end)
    finish_execution(connection, run.workflow_exec_id, status, output=output, error=error)


def _found_to_json(found: Found) -> dict[str, Any]:
    return {
        "documents": [[each.id, each.hash, each.size] for each in found.documents],
        "folders": list(found.scope.folders),
        "named": list(found.scope.documents),
        "patterns": list(found.scope.patterns),
        "skipped": found.skipped,
        "skipped_files": [list(pair) for pair in found.skipped_files],
        "missing": found.is_missing,
    }


def _found_from_json(looked: dict[str, Any]) -> tuple[list[FoundDocument], SourceScope]:
    documents = [FoundDocument(id=name, hash=digest, size=size) for name, digest, size in looked["documents"]]
    scope = SourceScope(
        folders=tuple(looked["folders"]), documents=tuple(looked["named"]), patterns=tuple(looked["patterns"])
    )
    return documents, scope
