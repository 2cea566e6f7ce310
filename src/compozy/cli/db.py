"""`compozy db export | import | verify`: move database rows as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.bar import Bar
from compozy.cli.db_upkeep import backup_command, check_command, prune_command, restore_command
from compozy.cli.options import Format, FormatOption, ProjectOptions, on_project
from compozy.cli.output import explain_output, print_json, print_line, print_note
from compozy.plural import plural

if TYPE_CHECKING:
    from compozy.transfer.document import Summary
    from compozy.transfer.export import Exported, RunFilter
    from compozy.transfer.load import Imported
    from compozy.upkeep.move import MoveOptions

db_app = typer.Typer(help="Move, back up, check and prune the database.", no_args_is_help=True)
db_app.command("backup")(backup_command)
db_app.command("restore")(restore_command)
db_app.command("check")(check_command)
db_app.command("prune")(prune_command)
_STREAM = "-"
_EXECUTIONS = "workflow_states"

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="WHEN", help="Only runs accepted since then: 2026-01-31, or 7d.", show_default=False
    ),
]


@db_app.command("export")
@on_project()
def export_command(
    options: ProjectOptions,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="File to write; - is stdout.")
    ] = _STREAM,
    since: SinceOption = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="Only runs in this state; repeatable.", show_default=False),
    ] = None,
    workflow: Annotated[
        list[str] | None,
        typer.Option("--workflow", metavar="ID", help="Only runs of this workflow; repeatable.", show_default=False),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="Remove unfinished runs from this database; they continue after the import.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="With --move: write the latest move again.")] = False,
    move_id: Annotated[
        str | None, typer.Option("--move-id", metavar="ID", help="With --again: write this move again.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    result: FormatOption = Format.text,
) -> None:
    """Export runs and their journal as a JSON document.

    Without --move, the document is a copy: unfinished runs are imported as paused.
    """
    from compozy.cli.context import open_settings
    from compozy.upkeep.move import export_project

    moving = _move_options(is_move=move, again=again, move_id=move_id)
    wanted = _filter_of(since, status or [], workflow or [])
    project = open_settings(options)
    quiet = options.quiet
    with explain_output(), Bar(quiet=quiet) as bar:
        exported = export_project(
            project,
            output,
            wanted,
            moving,
            on_frozen=_print_frozen,
            replace=force,
            report=lambda done, total: bar.draw(done, total, f"{done}/{total} rows"),
        )
    if result is Format.json and output != _STREAM:
        print_json(_export_document(exported, output))
    elif not quiet:
        _print_exported(exported, output)


@db_app.command("import")
@on_project(output=True)
def import_command(
    options: ProjectOptions,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Document of `compozy db export`; - is stdin.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace runs in another state, never by an older one.")
    ] = False,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Resume the runs of a move in this database instead.")
    ] = False,
) -> None:
    """Import an exported document, all or nothing.

    Existing runs are left unchanged.
    """
    from compozy.cli.context import open_settings
    from compozy.transfer.load import ImportOptions
    from compozy.upkeep.move import import_file

    project = open_settings(options)
    wanted = ImportOptions(replace=replace, take_back=take_back, dry_run=dry_run)
    with Bar(quiet=options.quiet) as bar:
        total = 0

        def report(done: int) -> None:
            bar.draw(done, total, f"{done}/{total} rows")

        def set_total(summary: Summary) -> None:
            nonlocal total
            total = sum(summary.counts.values())

        summary, imported = import_file(project, file, wanted, on_total=set_total, report=report)
    if options.as_json:
        print_json(_import_document(summary, imported, is_dry=dry_run))
    else:
        _print_import(summary, imported, is_dry=dry_run)


@db_app.command("verify")
def verify_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Document of `compozy db export`; - is stdin.")],
    output: FormatOption = Format.text,
) -> None:
    """Check that an exported document is intact."""
    from compozy.upkeep.move import verify_file

    summary = verify_file(file)
    if output is Format.json:
        print_json(_summary_document(summary))
        return
    header = summary.header
    kind = "move" if header.is_move else "copy"
    print_line(f"{'stdin' if file == _STREAM else file} is intact: a {kind} of the project {header.project!r}")
    print_line(f"From      {header.source}, exported {header.exported_at} by Compozy {header.compozy}")
    for name, value in header.filters.items():
        print_line(f"Only      {_filter_words(name, value)}")
    print_line()
    for name, count in summary.counts.items():
        if count:
            print_line(f"{count:>9} {name}")


def _move_options(*, is_move: bool, again: bool, move_id: str | None) -> MoveOptions:
    from compozy.errors import UsageError
    from compozy.upkeep.move import MoveOptions

    if again and not is_move:
        raise UsageError("--again requires --move")
    if move_id is not None and not again:
        raise UsageError("--move-id requires --again")
    return MoveOptions(is_move=is_move, again=again, move_id=move_id)


def _filter_words(name: str, value: Any) -> str:
    if name == "since_ms" and isinstance(value, int):
        from compozy.clock import format_time

        return f"accepted since {format_time(value)}"
    return f"{name} {', '.join(map(str, value))}"


def _print_frozen(count: int) -> None:
    if count:
        print_note(
            f"{_runs(count)} left this database and will continue where the document is imported. If the document "
            "gets lost, `compozy db export --move --again` writes it again"
        )


def _export_document(exported: Exported, file: str) -> dict[str, Any]:
    """Return the result of an export to a file; on stdout, the exported document itself is the result."""
    counts = {"counts": dict(exported.counts), "unfinished": exported.unfinished}
    return {"file": file, **counts, "move_id": exported.move_id}


def _print_exported(exported: Exported, output: str) -> None:
    arrive = ", imported as paused" if exported.move_id is None else ""
    more = f" ({exported.unfinished} unfinished{arrive})" if exported.unfinished else ""
    to = "" if output == _STREAM else f" to {output}"
    move = "" if exported.move_id is None else f", move {exported.move_id}"
    print_note(f"Exported {_runs(exported.counts[_EXECUTIONS])}{more}{to}{move}")


def _filter_of(since: str | None, statuses: list[str], workflows: list[str]) -> RunFilter:
    from compozy.cli.arguments import read_moment_ms, read_statuses
    from compozy.transfer.export import RunFilter

    return RunFilter(
        since_ms=None if since is None else read_moment_ms("--since", since),
        statuses=read_statuses(statuses),
        workflows=tuple(workflows),
    )


def _print_import(summary: Summary, imported: Imported, *, is_dry: bool) -> None:
    did = "Would import" if is_dry else "Imported"
    details = [
        f"{count} {words}"
        for count, words in (
            (imported.new, "new"),
            (imported.replaced, "replaced"),
            (imported.there, "already here"),
            (imported.left, "here in another state and left unchanged"),
            (imported.away, "moved away since, and not brought back"),
        )
        if count
    ]
    total = summary.counts.get(_EXECUTIONS, 0)
    print_line(f"{did} {_runs(imported.new + imported.replaced)} of {total} from {summary.header.source}")
    if details:
        print_line(f"  {', '.join(details)}")
    if imported.paused:
        print_line(f"  {imported.paused} paused: `compozy workflow resume EXECUTION` resumes one")
    if imported.unfinished:
        print_line(f"  {imported.unfinished} unfinished: they continue when a server or worker starts")
    if imported.left:
        print_note("note: --replace replaces runs that exist here in another state")
    if imported.documents:
        print_note(
            f"note: imported the records of {plural(imported.documents, 'document')} of knowledge bases; their "
            "vectors are "
            "in the vector store. If this project uses another store, run `compozy knowledge ingest --reindex`"
        )
    if is_dry:
        print_note("nothing was changed")


def _import_document(summary: Summary, imported: Imported, *, is_dry: bool) -> dict[str, Any]:
    names = ("new", "replaced", "there", "left", "away", "paused", "unfinished")
    counts = {name: getattr(imported, name) for name in names}
    return {**_summary_document(summary), "dry_run": is_dry, "executions": counts, "stored": imported.stored}


def _summary_document(summary: Summary) -> dict[str, Any]:
    from dataclasses import asdict

    return {"header": asdict(summary.header), "counts": summary.counts}


def _runs(count: int) -> str:
    return f"{count} execution{'' if count == 1 else 's'}"
