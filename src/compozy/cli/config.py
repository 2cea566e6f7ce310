"""`compozy config validate | show`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.output import print_json, print_line, print_table, print_warnings
from compozy.errors import Diagnostic, ProjectError


class ValidateFormat(StrEnum):
    """How the errors of a project are written."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


config_app = typer.Typer(help="Validate project files and show settings.", no_args_is_help=True)


@config_app.command("validate")
@on_project()
def validate_command(
    options: ProjectOptions,
    output: Annotated[
        ValidateFormat, typer.Option("--format", "-f", help="Output format; sarif and github are for CI.")
    ] = ValidateFormat.text,
) -> int:
    """Check all project files and report every error.

    Exits with code 5 if there are errors.
    """
    from compozy.cli.context import open_project
    from compozy.parts import knowledge_of
    from compozy.project.advice import repeat_warnings, runtime_warnings, server_warnings, warnings_of

    try:
        project = open_project(options)
    except ProjectError as error:
        if output in {ValidateFormat.sarif, ValidateFormat.github}:
            _print_annotations(error.diagnostics, output)
            return error.exit_status
        raise
    warnings = [
        *warnings_of(knowledge_of(project)),
        *repeat_warnings(project.workflows.values()),
        *server_warnings(project),
        *runtime_warnings(project),
    ]
    if output is ValidateFormat.json:
        document = {"valid": True, "project": project.name, "workflows": list(project.workflows)}
        print_json({**document, "warnings": warnings})
        return 0
    if output is ValidateFormat.sarif:
        _print_annotations((), output)
        return 0
    print_warnings(warnings)
    count = len(project.workflows)
    print_line(f"{project.file.name} is valid: project {project.name!r}, {count} workflow{'s' if count != 1 else ''}")
    return 0


def _print_annotations(faults: Sequence[Diagnostic], output: ValidateFormat) -> None:
    from compozy.cli.annotations import github_commands, sarif_document

    if output is ValidateFormat.sarif:
        print_json(sarif_document(faults))
        return
    for line in github_commands(faults):
        print_line(line)


@config_app.command("show")
@on_project(output=True)
def show_command(
    options: ProjectOptions,
    sources: Annotated[bool, typer.Option("--sources", help="Show where each value comes from.")] = False,
) -> None:
    """Show settings, providers and resources.

    Secrets are masked.
    """
    from compozy.cli.context import open_tolerant
    from compozy.project.show import show_settings

    project = open_tolerant(options)
    shown = show_settings(project)
    if options.as_json:
        print_json(shown.document(sources=sources))
        return
    headings = ("KEY", "VALUE", "SOURCE") if sources else ("KEY", "VALUE")
    print_table(headings, [row[: len(headings)] for row in shown.rows])
    if shown.providers:
        print_line()
        print_table(("PROVIDER", "TYPE", "MODEL", "KEY", "FALLBACK"), shown.providers)
    if shown.resources:
        print_line()
        print_table(("RESOURCE", "ID", "LOCATION"), shown.resources)
