"""Ingests knowledge bases with `ingest: on_start` before the server answers its first request."""

from __future__ import annotations

from functools import partial
from typing import Any

from compozy.app import App
from compozy.database.executions import get_execution
from compozy.database.status import Status
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import CompozyError, KnowledgeError, UsageError, restore_error
from compozy.knowledge.run import IngestRequest, start_ingestion
from compozy.server.shutdown import Console

_ON_START = Trigger(type=TriggerType.SERVER)


async def take_in_on_start(app: App, console: Console) -> None:
    """Ingest the sources of every knowledge base with `ingest: on_start`.

    Errors are printed, and the server starts: runs that do not use the knowledge base are not affected, and those that
    use it find what earlier ingestions stored.

    Raises:
        DatabaseError: the database refused.
    """
    for base in app.knowledge.project.bases().values():
        if base.settings.ingest != "on_start":
            continue
        request = IngestRequest(knowledge_base_id=base.id)
        try:
            execution_id = await start_ingestion(app.runtime, app.database, request, _ON_START)
        except (KnowledgeError, UsageError) as error:
            _print_error(base.id, error, console)
            continue
        await app.runtime.wait(execution_id)
        run = await app.database.read_async(partial(get_execution, workflow_exec_id=execution_id))
        if run.error is not None:
            _print_error(base.id, restore_error(run.error), console)
        if run.status is Status.PAUSED:
            paused = f"execution {execution_id} is paused: compozy workflow resume {execution_id}"
            console.note(f"knowledge base {base.id!r} is not ingested: {paused}")
        if run.output is not None:
            _tell(base.id, run.output, console)


def _print_error(base_id: str, error: CompozyError, console: Console) -> None:
    hint = f" ({error.hint})" if error.hint else ""
    console.note(f"warning: knowledge base {base_id!r} was not ingested: {error.message}{hint}")


def _tell(base_id: str, output: dict[str, Any], console: Console) -> None:
    done = f"{output['documents']} documents ingested, {output['unchanged']} unchanged, {output['deleted']} deleted"
    console.line(f"Knowledge base {base_id!r}: {done}")
    for failure in output["failures"]:
        console.note(f"{failure['document']}: {failure['message']}")
