"""From flags to a checked project, for the commands that need one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compozy.cli.find import current_folder
from compozy.cli.options import LogFormat, ProjectOptions, globals_of
from compozy.cli.output import print_note, print_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from compozy.project.load import WorkflowFiles
    from compozy.project.loaded import LoadedProject


def open_project(options: ProjectOptions) -> LoadedProject:
    """Return the project that the flags name, all of its files checked, and set up logging as it says.

    Raises:
        ProjectError: its files are wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    return _open(options, WorkflowFiles.REQUIRE)


def project_folder(options: ProjectOptions) -> Path:
    """Return the folder of compozy.yaml.

    Raises:
        UsageError: there is none.
    """
    from compozy.project.sources import find_config_file

    return find_config_file(options.config_file, cwd=current_folder(), environ=os.environ).parent


def open_settings(options: ProjectOptions) -> LoadedProject:
    """Return the project without its workflows: no workflow file is read.

    Raises:
        ProjectError: compozy.yaml is wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    return _open(options, WorkflowFiles.SKIP)


def open_tolerant(options: ProjectOptions) -> LoadedProject:
    """Return the project with its valid workflows, for a command that can do without the others.

    Raises:
        ProjectError: compozy.yaml is wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    return _open(options, WorkflowFiles.TOLERATE)


def open_quietly(options: ProjectOptions, *, is_tolerant: bool = False) -> LoadedProject:
    """Return the project for a command that reports its warnings itself, with `is_tolerant` the valid part of it.

    Raises:
        ProjectError: its files are wrong.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    wanted = WorkflowFiles.TOLERATE if is_tolerant else WorkflowFiles.REQUIRE
    return _open(options, wanted, is_quiet=True)


def open_valid_workflows(options: ProjectOptions, *, workflow_id: str | None = None) -> LoadedProject:
    """Return the project with its valid workflows, and warn of files with errors.

    For a command on one workflow, `workflow_id`, that is one line; else it is one line for each file.

    Raises:
        ProjectError: compozy.yaml is wrong, or the file of the workflow `workflow_id`.
        UsageError: there is none.
    """
    from compozy.project.load import WorkflowFiles

    project = _open(options, WorkflowFiles.TOLERATE)
    if any(invalid.id == workflow_id for invalid in project.invalid_workflows):
        project.workflow(str(workflow_id))
    if project.invalid_workflows and not options.quiet:
        _warn_of_invalid(project, is_brief=workflow_id is not None)
    return project


def _warn_of_invalid(project: LoadedProject, *, is_brief: bool) -> None:
    if is_brief:
        count = len(project.invalid_workflows)
        what = "1 other workflow file has errors" if count == 1 else f"{count} other workflow files have errors"
        print_warnings([f"{what}; run `compozy config validate` to list them"])
        return
    # A workflow that calls an invalid one has the same error.
    print_warnings(dict.fromkeys(invalid.summary for invalid in project.invalid_workflows))
    print_note("note: invalid workflows are left out; `compozy config validate` reports every error")


def _open(options: ProjectOptions, workflow_files: WorkflowFiles, *, is_quiet: bool = False) -> LoadedProject:
    from compozy.log import configure_logging
    from compozy.project.load import load_project

    shared, overrides = globals_of(options.context), dict(options.overrides)
    if shared.log_level is not None:
        overrides["runtime.log_level"] = (shared.log_level.value, "--log-level")
    project = load_project(
        options.config_file,
        cwd=current_folder(),
        overrides=overrides,
        environ=os.environ,
        workflow_files=workflow_files,
        files=options.files,
    )
    configure_logging(project.runtime.log_level, as_json=shared.log_format is LogFormat.json)
    if not (options.quiet or is_quiet):
        print_warnings(str(warning) for warning in project.warnings)
    return project
