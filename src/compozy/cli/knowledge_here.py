"""`compozy knowledge` without a server: the work is done in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from compozy.app import COMMAND, open_app
from compozy.cli.executions import until_it_rests
from compozy.cli.find import current_folder
from compozy.cli.knowledge_results import IngestionBar, print_canceling, print_start
from compozy.cli.knowledge_verbs import Document, IngestWords
from compozy.cli.output import print_note
from compozy.database.database import Database
from compozy.database.documents import DocumentStatus
from compozy.database.executions import get_execution
from compozy.database.status import Status
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import RunCanceledError
from compozy.knowledge import verbs
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.config import KnowledgeBinding
from compozy.knowledge.ingest import progress_of
from compozy.knowledge.paths import Reach
from compozy.knowledge.run import IngestRequest, check_request, start_ingestion
from compozy.knowledge.sources import is_address
from compozy.parts import knowledge_of
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, open_reading, open_storage
from compozy.task.report import Silence
from compozy.workflow.documents import execution_document

T = TypeVar("T")

_WAIT_FOR_LOCK_S = 30.0
_LOOK_S = 0.2


class KnowledgeHere:
    """The verbs, on the project's own database and stores."""

    def __init__(self, project: LoadedProject) -> None:
        self._project = project
        self._knowledge = knowledge_of(project)

    def ingest(self, words: IngestWords) -> Document:
        """Take documents in and wait for the end.

        Raises:
            UsageError: the path leads out of the project, nothing is there, or the knowledge base is not known.
        """
        base = self._knowledge.base(words.kb)
        path = None if words.path is None else project_path(words.path, self._knowledge.reach)
        request = IngestRequest(
            knowledge_base_id=base.id,
            path=path,
            reindex=words.reindex,
            retry=words.retry,
            failed_only=words.failed_only,
            repair=words.repair,
        )
        self._with_database(lambda database: check_request(self._knowledge, database, request))
        print_start(words, self.get(base.id))
        database = open_storage(
            self._project,
            wait_for_lock_s=_WAIT_FOR_LOCK_S,
            on_wait=None if words.quiet else lambda who: print_note(f"waiting for {who} to end its runs"),
        )
        try:
            return asyncio.run(self._ingest(database, request, words))
        finally:
            close_storage(database)

    def query(self, kb: str | None, text: str, given: dict[str, Any]) -> Document:
        """Return passages."""
        base = self._knowledge.base(kb)
        binding = KnowledgeBinding(knowledge_base_id=base.id, **given)
        return self._with_catalog(lambda catalog, _: verbs.ask(catalog, base, text, binding))

    def list(self) -> Document:
        """Return the knowledge bases."""
        return self._with_catalog(verbs.list_bases)

    def get(self, kb: str) -> Document:
        """Return one of them."""
        base = self._knowledge.base(kb)
        return self._with_catalog(lambda catalog, database: verbs.describe_base(catalog, base, database))

    def status(self, kb: str | None, *, failed: bool, limit: int) -> Document:
        """Return its documents."""
        base = self._knowledge.base(kb)
        wanted = DocumentStatus.FAILED if failed else None
        return self._with_catalog(lambda _, database: verbs.list_status(base, database, limit=limit, status=wanted))

    def check(self, kb: str | None) -> Document:
        """Compare database and store."""
        return self._with_catalog(lambda catalog, database: verbs.check(catalog, database, kb))

    def delete(self, kb: str, document: str | None) -> Document:
        """Delete what it holds."""
        base = self._knowledge.base(kb)
        database = open_storage(self._project, wait_for_lock_s=_WAIT_FOR_LOCK_S)
        try:
            return asyncio.run(self._delete(database, base, document))
        finally:
            close_storage(database)

    async def _delete(self, database: Database, base: KnowledgeBase, document: str | None) -> Document:
        catalog = KnowledgeCatalog(self._knowledge, database)
        try:
            return await verbs.delete(catalog, base, database, document)
        finally:
            await catalog.aclose()

    async def _ingest(self, database: Database, request: IngestRequest, words: IngestWords) -> Document:
        async with open_app(self._project, database, role=COMMAND, report=Silence()) as app:
            run_id = await start_ingestion(app.runtime, database, request, Trigger(type=TriggerType.CLI))
            ended = asyncio.create_task(until_it_rests(app, run_id))
            try:
                with IngestionBar(quiet=words.quiet) as bar:
                    while not (await asyncio.wait({ended}, timeout=_LOOK_S))[0]:
                        bar.show(await database.read_async(lambda c: progress_of(c, request.knowledge_base_id, run_id)))
                await ended
            except asyncio.CancelledError:
                # Ctrl-C: the process ends, and no other process would continue the ingestion.
                ended.cancel()
                print_canceling(words)
                await app.runtime.cancel(run_id, Status.CANCELED, RunCanceledError("canceled with Ctrl-C").to_json())
                raise
            return execution_document(await database.read_async(lambda c: get_execution(c, run_id)))

    def _with_catalog(self, call: Callable[[KnowledgeCatalog, Database | None], Awaitable[Document]]) -> Document:
        async def run(database: Database | None) -> Document:
            catalog = KnowledgeCatalog(self._knowledge, database)
            try:
                return await call(catalog, database)
            finally:
                await catalog.aclose()

        return self._with_database(run)

    def _with_database(self, call: Callable[[Database | None], Coroutine[Any, Any, T]]) -> T:
        """Call with the database for reading, None where there is none yet."""
        database = open_reading(self._project)
        try:
            return asyncio.run(call(database))
        finally:
            if database is not None:
                close_storage(database)


def project_path(path: str, reach: Reach) -> str:
    """Return a path of the command line as it counts from the project's folder.

    Raises:
        UsageError: it leads out of the project.
    """
    if is_address(path):
        return path
    place = reach.confine(path, base=current_folder())
    return reach.name(place) or "."
