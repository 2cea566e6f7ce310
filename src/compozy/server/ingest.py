"""Knowledge bases with `ingest: on_start`: taken in before the server answers its first request."""

from __future__ import annotations

from functools import partial
from typing import Any

from compozy.app import App
from compozy.database.executions import get_execution
from compozy.database.status import Status
from compozy.errors import KnowledgeError, restore_error
from compozy.knowledge.run import IngestRequest, start_ingestion
from compozy.server.stop import Console


async def take_in_on_start(app: App, console: Console) -> None:
    """Take in the sources of every knowledge base that asks for it.

    A document that cannot be read is told and left out; anything else stops the start.

    Raises:
        KnowledgeError: a store or an embedder failed.
    """
    for base in app.knowledge.project.bases().values():
        if base.settings.ingest != "on_start":
            continue
        request = IngestRequest(knowledge_base_id=base.id)
        execution_id = await start_ingestion(app.runtime, app.database, request)
        await app.runtime.wait(execution_id)
        run = await app.database.read_async(partial(get_execution, workflow_exec_id=execution_id))
        if run.error is not None:
            cause = restore_error(run.error)
            message = f"knowledge base {base.id!r} could not be taken in: {cause.message}"
            raise KnowledgeError(message, hint=cause.hint, details={"execution_id": execution_id})
        if run.status is Status.PAUSED:
            paused = f"execution {execution_id} is paused: compozy workflow resume {execution_id}"
            console.note(f"knowledge base {base.id!r} is not taken in: {paused}")
        if run.output is not None:
            _tell(base.id, run.output, console)


def _tell(base_id: str, output: dict[str, Any], console: Console) -> None:
    done = f"{output['documents']} documents taken in, {output['unchanged']} unchanged, {output['deleted']} deleted"
    console.line(f"Knowledge base {base_id!r}: {done}")
    for failure in output["failures"]:
        console.note(f"{failure['document']}: {failure['message']}")
