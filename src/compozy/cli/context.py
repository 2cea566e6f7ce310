"""From flags to a checked project, for the commands that need one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from compozy.cli.find import current_folder
from compozy.cli.options import LogFormat, globals_of
from compozy.cli.output import print_note, print_warnings

if TYPE_CHECKING:
    from compozy.project.load import WorkflowFiles
    from compozy.project.loaded import LoadedProject


def open_project(
    context: typer.Context, config: Path | None, overrides: Mapping[str, tuple[Any, str]] | None = None
) -> LoadedProject:
    """Return the project that the flags name, all of its files checked, and set up logging as it says.

    Raises:
        ProjectError: its files are wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    return _open(context, config, overrides, WorkflowFiles.REQUIRE)


def open_settings(
    context: typer.Context, config: Path | None, overrides: Mapping[str, tuple[Any, str]] | None = None
) -> LoadedProject:
    """Return the project without its workflows: no workflow file is read.

    Raises:
        ProjectError: compozy.yaml is wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    return _open(context, config, overrides, WorkflowFiles.SKIP)


def open_tolerant(
    context: typer.Context, config: Path | None, overrides: Mapping[str, tuple[Any, str]] | None = None
) -> LoadedProject:
    """Return the project with its valid workflows, for a command that can do without the others.

    Raises:
        ProjectError: compozy.yaml is wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    return _open(context, config, overrides, WorkflowFiles.TOLERATE)


def open_valid_workflows(
    context: typer.Context,
    config: Path | None,
    overrides: Mapping[str, tuple[Any, str]] | None = None,
    *,
    workflow_id: str | None = None,
) -> LoadedProject:
    """Return the project with its valid workflows, and warn of files with errors.

    For a command on one workflow, `workflow_id`, that is one line; else it is one line for each file.

    Raises:
        ProjectError: compozy.yaml is wrong, or the file of the workflow `workflow_id`.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    project = _open(context, config, overrides, WorkflowFiles.TOLERATE)
    if any(invalid.id == workflow_id for invalid in project.invalid_workflows):
        project.workflow(str(workflow_id))
    if project.invalid_workflows and not globals_of(context).quiet:
        _warn_of_invalid(project, is_brief=workflow_id is not None)
    return project


def _warn_of_invalid(project: LoadedProject, *, is_brief: bool) -> None:
    if is_brief:
        count = len(project.invalid_workflows)
        what = "1 other workflow file has errors" if count == 1 else f"{count} other workflow files have errors"
        print_warnings([f"{what}; run `compozy config validate` to list them"])
        return
    print_warnings(invalid.summary for invalid in project.invalid_workflows)
    print_note("note: invalid workflows are left out; `compozy config validate` reports every error")


def _open(
    context: typer.Context,
    config: Path | None,
    overrides: Mapping[str, tuple[Any, str]] | None,
    workflow_files: WorkflowFiles,
) -> LoadedProject:
    from compozy.log import configure_logging
    from compozy.project.load import load_project

    options = globals_of(context)
    given = dict(overrides or {})
    if options.log_level is not None:
        given["runtime.log_level"] = (options.log_level.value, "--log-level")
    project = load_project(
        config or options.config,
        cwd=current_folder(),
        overrides=given,
        environ=os.environ,
        workflow_files=workflow_files,
    )
    configure_logging(project.runtime.log_level, as_json=options.log_format is LogFormat.json)
    if not options.quiet:
        print_warnings(str(warning) for warning in project.warnings)
    return project
