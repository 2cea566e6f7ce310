"""`compozy db backup | restore | check | prune`: a database is kept safe, sound and small."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.bar import Bar
from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.output import ask_first, paint, print_json, print_line, print_note
from compozy.plural import plural

if TYPE_CHECKING:
    from compozy.upkeep.maintenance import Pruned

_MIB = 1024 * 1024


@on_project(output=True)
def backup_command(
    options: ProjectOptions,
    file: Annotated[str, typer.Argument(metavar="FILE", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Copy the database to one file while it is in use.

    The copy is verified before the command succeeds.
    """
    from compozy.cli.context import open_settings
    from compozy.upkeep.maintenance import back_up

    project = open_settings(options)
    size = back_up(project, file, replace=force)
    if options.as_json:
        print_json({"file": file, "bytes": size})
        return
    print_line(f"Backed up to {file} ({size / _MIB:.1f} MiB)")


@on_project(output=True)
def restore_command(
    options: ProjectOptions,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Backup created by `compozy db backup`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a database that contains runs.")] = False,
) -> None:
    """Replace the database with a backup.

    Unfinished runs continue at the next start.
    """
    from compozy.cli.context import open_settings
    from compozy.upkeep.maintenance import restore

    project = open_settings(options)
    restored = restore(project, file, replace=force)
    if options.as_json:
        kept = None if restored.kept is None else str(restored.kept)
        document = {"file": file, "executions": restored.runs, "unfinished": restored.unfinished, "former": kept}
        print_json(document)
        return
    word = "execution" if restored.runs == 1 else "executions"
    print_line(f"Restored {restored.runs} {word} from {file}")
    if restored.unfinished:
        print_line(f"  {restored.unfinished} unfinished: they continue at the next start")
    if restored.kept is not None:
        print_note(f"the former database is kept as {restored.kept}")


@on_project(output=True)
def check_command(
    options: ProjectOptions,
) -> int:
    """Check the database and its journal for errors.

    Exits with code 4 if it finds any.
    """
    from compozy.cli.context import open_settings
    from compozy.errors import DatabaseError
    from compozy.upkeep.maintenance import check

    project = open_settings(options)
    location, findings = check(project)
    is_sound = not any(finding.fault for finding in findings)
    if options.as_json:
        listed = [{"name": found.name, "fault": found.fault or None, "note": found.note or None} for found in findings]
        print_json({"database": location, "sound": is_sound, "findings": listed})
        return 0 if is_sound else DatabaseError.exit_status
    print_line(f"Database: driver={project.database.driver} path={location}")
    for found in findings:
        mark = paint("✗", "red", stream=sys.stdout) if found.fault else paint("✓", "green", stream=sys.stdout)
        more = found.fault or found.note
        print_line(f"{mark} {found.name}{f': {more}' if more else ''}")
    return 0 if is_sound else DatabaseError.exit_status


@on_project(output=True)
def prune_command(
    options: ProjectOptions,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="WHEN", help="Age or date of the end, e.g. 30d or 2026-01-31."),
    ],
    moved: Annotated[
        bool, typer.Option("--moved", help="Also delete runs that were moved to another database.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how many, without deleting them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete runs without asking.")] = False,
) -> None:
    """Delete executions that ended long ago.

    Their tasks, signals and journal are deleted too, as are old webhook deliveries and what has expired. Unfinished
    and moved executions are kept.
    """
    from compozy.cli.arguments import read_moment_ms
    from compozy.cli.context import open_settings
    from compozy.clock import format_time
    from compozy.upkeep.maintenance import prune

    before_ms = read_moment_ms("--older-than", older_than)
    project = open_settings(options)
    old = prune(project, before_ms, moved=moved, dry_run=True)
    found = f"{plural(old.runs, 'execution')} that ended before {format_time(before_ms)}{_others(old)}"
    if dry_run or not (old.runs or old.others.total):
        _print_pruned(options, f"{old.location} has {found}", old, before_ms, deleted=0)
        return
    if not yes:
        ask_first(f"Delete {found} from {old.location}?")
    with Bar(quiet=options.quiet) as bar:
        pruned = prune(
            project,
            before_ms,
            moved=moved,
            dry_run=False,
            report=lambda done: bar.draw(done, old.runs, f"{done}/{old.runs} executions"),
        )
    text = f"Deleted {plural(pruned.runs, 'execution')}{_others(pruned)} from {pruned.location}"
    _print_pruned(options, text, replace(pruned, runs=old.runs), before_ms, deleted=pruned.runs)


def _others(pruned: Pruned) -> str:
    others = pruned.others
    named = {
        "webhook delivery": others.deliveries,
        "expired conversation": others.conversations,
        "expired session": others.sessions,
    }
    return "".join(f", {plural(count, name)}" for name, count in named.items() if count)


def _print_pruned(options: ProjectOptions, text: str, pruned: Pruned, before_ms: int, *, deleted: int) -> None:
    from compozy.clock import format_time

    if not options.as_json:
        print_line(text)
        return
    print_json(
        {
            "database": pruned.location,
            "before": format_time(before_ms),
            "executions": pruned.runs,
            "deleted": deleted,
            "webhook_deliveries": pruned.others.deliveries,
            "conversations": pruned.others.conversations,
            "sessions": pruned.others.sessions,
        }
    )
