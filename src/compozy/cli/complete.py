"""Shell completion of workflow and execution IDs.

A completion prints nothing but candidates: whatever goes wrong ends in none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from compozy.errors import CompozyError

# As many as a person reads.
_MAX_EXECUTIONS = 50


def complete_workflows(context: typer.Context, incomplete: str) -> list[str]:
    """Return the IDs of the project's workflows that start with `incomplete`."""
    try:
        return sorted({found for found in _workflow_ids(context) if found.startswith(incomplete)})
    except (CompozyError, OSError):
        return []


def complete_executions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the latest executions whose IDs start with `incomplete`, each with its workflow and state."""
    try:
        runs = list(_executions(context, incomplete))
    except (CompozyError, OSError):
        return []
    return [(run["execution_id"], f"{run['workflow_id']} {run['status']}") for run in runs]


def _workflow_ids(context: typer.Context) -> Iterator[str]:
    """Yield the IDs that the workflow files declare, be they valid or not."""
    from compozy.cli.find import current_folder
    from compozy.config.nodes import MappingNode, text_at
    from compozy.config.parse import read_yaml
    from compozy.project.discover import discover_files
    from compozy.project.sources import find_config_file, read_config

    cwd = current_folder()
    config_file = find_config_file(_config(context), cwd=cwd, environ=os.environ)
    read = read_config(config_file, cwd=cwd, flags={}, environ=os.environ)
    for file in discover_files(read.node, config_file=config_file, cwd=cwd).files:
        node = read_yaml(file, file=str(file)).node
        if not isinstance(node, MappingNode):
            yield file.stem
        elif text_at(node, "resource") in {"", "workflow"}:
            yield text_at(node, "id") or file.stem


def _executions(context: typer.Context, incomplete: str) -> Iterator[dict[str, Any]]:
    from compozy.cli.find import look, search_for
    from compozy.cli.options import ProjectOptions, globals_of

    globals_of(context).quiet = True
    options = ProjectOptions(
        context=context,
        server=context.params.get("server"),
        config=_config(context),
        db_driver=context.params.get("db_driver"),
        db_path=context.params.get("db_path"),
    )
    found = look(search_for(options))
    if found is not None:
        listed = found.client.get("executions", "workflows", id_prefix=incomplete, limit=_MAX_EXECUTIONS)
        yield from listed["executions"]
        return
    from compozy.cli.arguments import ListRequest
    from compozy.cli.context import open_settings
    from compozy.cli.executions import list_runs

    yield from list_runs(open_settings(options), ListRequest(limit=_MAX_EXECUTIONS), id_prefix=incomplete)


def _config(context: typer.Context) -> Path | None:
    return context.params.get("config") or context.find_root().params.get("config")
