"""`compozy doctor`: what keeps a project from running on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.output import paint, print_json, print_line
from compozy.plural import plural

if TYPE_CHECKING:
    from compozy.project.loaded import LoadedProject
    from compozy.upkeep.doctor import Check

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red"), "skipped": ("-", "dim")}


@on_project(server=True, output=True)
def doctor_command(
    options: ProjectOptions,
    keys: Annotated[bool, typer.Option("--keys", help="Ask each model provider whether its key is valid.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read the whole database, as `db check` does.")] = False,
) -> int:
    """Check the project, its database and this machine.

    Changes nothing. Exits with the code of the first error, 0 without errors.
    """
    checks: list[Check] = []
    for check in _checks(options, keys=keys, deep=deep):
        checks.append(check)
        if not options.as_json:
            _print_check(check)
    grades = [check.grade.value for check in checks]
    errors, warnings = grades.count("error"), grades.count("warning")
    if options.as_json:
        print_json({"healthy": not errors, "checks": [_document(check) for check in checks]})
    elif errors or warnings:
        print_line(f"{plural(errors, 'error')}, {plural(warnings, 'warning')}")
    else:
        print_line("No problems found")
    return next((check.exit_status for check in checks if check.exit_status), 0)


def _checks(options: ProjectOptions, *, keys: bool, deep: bool) -> Iterator[Check]:
    from compozy.cli.context import open_quietly
    from compozy.errors import ProjectError
    from compozy.upkeep.doctor import check_files, check_machine, check_project, check_reach, check_versions, skipped
    from compozy.upkeep.doctor_database import check_storage

    yield check_versions()
    try:
        project = open_quietly(options)
    except ProjectError as error:
        yield from check_files(error)
        try:
            project = open_quietly(options, is_tolerant=True)
        except ProjectError:
            yield skipped("database", "not checked: compozy.yaml has errors")
            return
    yield from check_project(project)
    if keys:
        yield from check_reach(project)
    yield from check_storage(project, is_deep=deep)
    yield from check_machine(project)
    yield from _check_server(options, project)


def _check_server(options: ProjectOptions, project: LoadedProject) -> Iterator[Check]:
    """Yield the check of the server of the project, or of the port that it would listen on."""
    from compozy import __version__
    from compozy.cli.find import look, search_for
    from compozy.errors import CompozyError
    from compozy.server.serve import guard_settings
    from compozy.upkeep.doctor import explained, passed, warned

    try:
        guard_settings(project, has_workflows=not project.invalid_workflows)
        found = look(search_for(options))
        if found is None:
            yield _check_port(project)
            return
        found.client.request("GET", "/readyz")
    except CompozyError as error:
        yield explained("server", error)
        return
    url, version = found.client.url, found.project["compozy_version"]
    yield passed("server", f"the server at {url} is ready")
    if version != __version__:
        yield warned(
            "server", f"the server at {url} runs Compozy {version}, this is {__version__}", "restart the server"
        )
    if found.project["files_changed"]:
        yield warned(
            "server",
            "project files changed since the server started",
            "it uses them after a restart; `compozy dev` restarts it when they have no errors",
        )


def _check_port(project: LoadedProject) -> Check:
    from compozy.errors import UsageError
    from compozy.server.ports import listen
    from compozy.upkeep.doctor import passed, warned

    host, port = project.server.host, project.server.port
    try:
        listen(host, port).close()
    except UsageError as error:
        return warned(
            "server", f"no server is running, and `compozy start` could not listen: {error.message}", error.hint or ""
        )
    return passed("server", f"no server is running; port {port} is free")


def _print_check(check: Check) -> None:
    mark, color = _MARKS[check.grade.value]
    print_line(f"{paint(mark, color, stream=sys.stdout)} {check.name}: {check.message}")
    if check.hint:
        print_line(f"  {check.hint}")


def _document(check: Check) -> dict[str, str | None]:
    return {"name": check.name, "status": check.grade.value, "message": check.message, "hint": check.hint or None}
