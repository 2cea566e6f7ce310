"""`compozy migrate up | down | status`: the tables of the configured database."""

from __future__ import annotations

from typing import Annotated

import typer

from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.output import ask_first, print_json, print_line, print_note
from compozy.plural import plural

migrate_app = typer.Typer(help="Update or roll back the database schema.", no_args_is_help=True)


@migrate_app.command("up")
@on_project(output=True)
def up_command(
    options: ProjectOptions,
) -> None:
    """Apply pending migrations.

    Every start applies them too, unless database.auto_migrate is off.
    """
    from compozy.cli.context import open_settings
    from compozy.storage import migrate_storage_up

    project = open_settings(options)
    location, applied = migrate_storage_up(project)
    if options.as_json:
        print_json({"database": location, "driver": project.database.driver, "applied": list(applied)})
        return
    if not applied:
        print_line(f"{location} is up to date")
    for revision in applied:
        print_line(f"applied {revision} to {location}")


@migrate_app.command("down")
@on_project(output=True)
def down_command(
    options: ProjectOptions,
    target: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="REVISION", help="Revision to roll back to. Default: the one before.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete rows without asking.")] = False,
) -> None:
    """Roll back the last migration.

    Asks before deleting data.
    """
    from compozy.cli.context import open_settings
    from compozy.database.migrate import Loss
    from compozy.storage import migrate_storage_down

    def confirm(loss: Loss) -> None:
        for table, count in loss.rows.items():
            print_note(f"deletes {plural(count, 'row')} of {table}")
        if loss.journal_rows:
            print_note(
                f"deletes the journal ({plural(loss.journal_rows, 'row')}): unfinished runs cannot continue afterwards"
            )
        if loss.total and not yes:
            ask_first("Delete them?")

    project = open_settings(options)
    location, target_revision = migrate_storage_down(project, target, confirm)
    if options.as_json:
        print_json({"database": location, "driver": project.database.driver, "current": target_revision})
        return
    print_line(
        f"{location} is at {target_revision}" if target_revision else f"{location} has no migration to roll back"
    )


@migrate_app.command("status")
@on_project(output=True)
def status_command(
    options: ProjectOptions,
) -> None:
    """Show the current and the pending migrations."""
    from compozy.cli.context import open_settings
    from compozy.storage import read_storage_status

    project = open_settings(options)
    location, status = read_storage_status(project)
    document = {
        "database": location,
        "driver": project.database.driver,
        "current": status.current,
        "latest": status.latest,
        "pending": list(status.pending),
    }
    if options.as_json:
        print_json(document)
        return
    print_line(f"Database: driver={project.database.driver} path={location}")
    print_line(f"Current:  {status.current}")
    print_line(f"Latest:   {status.latest}")
    print_line(f"Pending:  {', '.join(status.pending) or 'none'}")
