"""A process that executes runs of one workflow with a scripted model, for measurements."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

from compozy.database.database import Database
from compozy.durable.runtime import Runtime
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.task.report import Silence
from compozy.tool.kind import ToolHome
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.execute import WorkflowExecutor
from compozy.workflow.start import prepare_run, start_run


def scripted_catalog(responses: dict[str, Any]) -> tuple[ProviderConfig, ModelCatalog]:
    """Return a scripted provider with its catalog."""
    provider = ProviderConfig.model_validate({"id": "s", "type": "scripted", "responses": responses})
    return provider, ModelCatalog((provider,), missing_keys={}, environ={}, base_dir=Path())


@contextlib.asynccontextmanager
async def executing(
    database: Database, tasks: list[dict[str, Any]], responses: dict[str, Any], tools: ToolHome | None = None
) -> AsyncGenerator[Callable[[], Awaitable[str]], None]:
    """Yield a function that executes one run of `tasks` to its end and returns its ID."""
    workflow = WorkflowConfig.model_validate({"id": "bench", "tasks": tasks})
    provider, catalog = scripted_catalog(responses)
    definition = {
        "workflow": workflow.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True),
        "providers": [provider.model_dump(mode="json", exclude_none=True)],
    }
    executor = WorkflowExecutor(database=database, catalog=catalog, project="bench", report=Silence(), tools=tools)
    runtime = Runtime(database, execute=executor.execute, max_concurrent=100, role="bench")
    await runtime.start()

    async def once() -> str:
        new = prepare_run(workflow, definition, None)
        await start_run(runtime, workflow, new)
        await runtime.wait(new.workflow_exec_id)
        return new.workflow_exec_id

    yield once
    await runtime.stop()
    await catalog.aclose()
