"""`compozy workflow events`: the event log of an execution."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.control import workflow_app
from compozy.cli.options import ProjectOptions, number, on_project
from compozy.cli.workflow import ExecutionArgument

if TYPE_CHECKING:
    from compozy.client import Client, Document
    from compozy.database.database import Database
    from compozy.project.loaded import LoadedProject

ReadPage = Callable[[int], "Document"]


@workflow_app.command("events")
@on_project(server=True, output=True)
def events_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
    after: Annotated[int, number(0, 999_999, "--after", help="Show only later events than this number.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show new events as they arrive, until the run ends.")
    ] = False,
) -> None:
    """Show the event log of an execution."""
    from compozy.cli.find import look, search_for
    from compozy.cli.remote_ids import read_execution

    search = search_for(options, lambda client: read_execution(client, execution_id))
    if (found := look(search)) is not None:
        client = found.client
        run_id: str = read_execution(client, execution_id)["execution_id"]
        if follow:
            _follow_remote(client, run_id, after, as_json=options.as_json)
            return
        _print_pages(
            lambda seq: client.get("executions", "workflows", run_id, "events", after=seq), after, options.as_json
        )
        return
    from compozy.cli.context import open_settings

    _show_stored(open_settings(options), execution_id, after, follow=follow, as_json=options.as_json)


def _follow_remote(client: Client, run_id: str, after: int, *, as_json: bool) -> None:
    from compozy.cli.events_follow import print_followed, read_stream

    print_followed(read_stream(client, run_id, after), _cells, as_json=as_json)


def _show_stored(project: LoadedProject, execution_id: str, after: int, *, follow: bool, as_json: bool) -> None:
    from compozy.cli.executions import no_runs_yet
    from compozy.database.executions import find_execution_id
    from compozy.storage import close_storage, open_reading
    from compozy.workflow.events import read_events

    database = open_reading(project)
    if database is None:
        raise no_runs_yet(project, execution_id)
    try:
        with database.read() as connection:
            run_id = find_execution_id(connection, execution_id)
            if not follow:
                _print_pages(lambda seq: read_events(connection, run_id, after=seq), after, as_json)
        if follow:
            _follow_stored(database, run_id, after, as_json=as_json)
    finally:
        close_storage(database)


def _follow_stored(database: Database, run_id: str, after: int, *, as_json: bool) -> None:
    from compozy.cli.events_follow import print_followed, read_stored
    from compozy.workflow.events import read_events

    def read(seq: int) -> Document:
        with database.read() as connection:
            return read_events(connection, run_id, after=seq)

    print_followed(read_stored(read, run_id, after), _cells, as_json=as_json)


def _print_pages(read: ReadPage, after: int, as_json: bool) -> None:
    from compozy.cli.output import print_json, print_line, print_table

    page = read(after)
    events = list(page["events"])
    while page["next_after"] is not None:
        page = read(page["next_after"])
        events += page["events"]
    if as_json:
        print_json({"execution_id": page["execution_id"], "status": page["status"], "events": events})
        return
    if not events:
        print_line(f"No events of execution {page['execution_id']} are recorded.")
        return
    print_table(
        ("SEQ", "TIME", "KIND", "TASK", "EVENT"),
        [_cells(event) for event in events],
    )


def _cells(event: Document) -> tuple[str, ...]:
    return str(event["seq"]), event["created_at"], event["kind"], event["path"] or "", _words(event["data"])


def _words(data: Document) -> str:
    """Return the data of an event on one line: its status first, then `name=value`."""
    first = [str(data[name]) for name in ("status", "state", "tool") if name in data]
    rest = {name: value for name, value in data.items() if name not in {"status", "state", "tool"}}
    error = rest.pop("error", None)
    words = [f"{name}={_short(value)}" for name, value in rest.items()]
    return " ".join([*first, *words, *([f"{error.get('code')}: {error.get('message')}"] if error else [])])


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
