"""`compozy schedule ...`: inspect and control the schedules of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, number, on_project

if TYPE_CHECKING:
    from compozy.cli.schedule_verbs import Schedules

schedule_app = typer.Typer(help="Inspect and control schedules.", no_args_is_help=True)

ScheduleArgument = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="Schedule ID, or a workflow with one schedule.")
]


@schedule_app.command("list")
@on_project(server=True, output=True)
def list_command(
    options: ProjectOptions,
) -> None:
    """List schedules, with their next and last runs."""
    from compozy.cli.schedule_results import print_schedules

    print_schedules(_schedules(options).list(), as_json=options.as_json)


@schedule_app.command("next")
@on_project(server=True, output=True)
def next_command(
    options: ProjectOptions,
    schedule_id: ScheduleArgument,
    count: Annotated[int, number(1, 1000, "--count", help="Number of times.")] = 10,
) -> None:
    """Show when a schedule starts its next runs."""
    from compozy.cli.schedule_results import print_next

    print_next(_schedules(options).next(schedule_id, count), as_json=options.as_json)


@schedule_app.command("pause")
@on_project(server=True, output=True)
def pause_command(
    options: ProjectOptions,
    schedule_id: ScheduleArgument,
) -> None:
    """Pause a schedule until it is resumed.

    A change of its file resumes it, too.
    """
    from compozy.cli.schedule_results import print_changed

    changed = _schedules(options).change(schedule_id, {"enabled": False})
    print_changed(changed, as_json=options.as_json)


@schedule_app.command("resume")
@on_project(server=True, output=True)
def resume_command(
    options: ProjectOptions,
    schedule_id: ScheduleArgument,
) -> None:
    """Resume a schedule without catching up."""
    from compozy.cli.schedule_results import print_changed

    changed = _schedules(options).change(schedule_id, {"enabled": True})
    print_changed(changed, as_json=options.as_json)


@schedule_app.command("trigger")
@on_project(server=True, output=True)
def trigger_command(
    options: ProjectOptions,
    schedule_id: ScheduleArgument,
) -> None:
    """Start a run of a schedule now.

    Without a server, the next server or worker executes it.
    """
    from compozy.cli.schedule_results import print_triggered

    print_triggered(_schedules(options).trigger(schedule_id), as_json=options.as_json)


@schedule_app.command("backfill")
@on_project(server=True, output=True)
def backfill_command(
    options: ProjectOptions,
    schedule_id: ScheduleArgument,
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="First time, such as 2027-01-01T00:00:00Z.")],
    end: Annotated[str, typer.Option("--end", metavar="TIME", help="Last time, in the past.")],
) -> None:
    """Start the missing runs of past scheduled times.

    At most 1,000. Without a server, the next server or worker executes them.
    """
    from compozy.cli.schedule_results import print_backfilled

    print_backfilled(_schedules(options).backfill(schedule_id, start, end), as_json=options.as_json)


def _schedules(options: ProjectOptions) -> Schedules:
    """Return the schedules of the project's server if it runs, else those of its files and its database."""
    from compozy.cli.find import look, search_for

    if (found := look(search_for(options))) is not None:
        from compozy.cli.schedule_verbs import RemoteSchedules

        return RemoteSchedules(found.client)
    from compozy.cli.context import open_valid_workflows
    from compozy.cli.schedule_here import SchedulesHere

    return SchedulesHere(open_valid_workflows(options))
