"""`compozy costs`: sums of what model requests cost."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, number, on_project

if TYPE_CHECKING:
    from compozy.client import Document
    from compozy.project.loaded import LoadedProject


class CostGroup(StrEnum):
    """Values of `--by`."""

    DAY = "day"
    WORKFLOW = "workflow"
    AGENT = "agent"
    MODEL = "model"
    EXECUTION = "execution"


@on_project(server=True, output=True)
def costs_command(
    options: ProjectOptions,
    by: Annotated[CostGroup, typer.Option("--by", help="Group costs by this.")] = CostGroup.DAY,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="ID", help="Only this workflow.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="First day: 2026-01-31, or 7d ago.", show_default=False),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="Last day: 2026-01-31, or 7d ago.", show_default=False),
    ] = None,
    limit: Annotated[int, number(1, 1000, "--limit", help="Number of sums.")] = 30,
) -> None:
    """Show the costs of model requests.

    Days are days in UTC.
    """
    from compozy.cli.arguments import read_moment_ms
    from compozy.cli.cost_results import print_costs
    from compozy.cli.find import look, search_for
    from compozy.clock import format_time

    days = {
        name: (format_time(read_moment_ms(f"--{name}", text)) or "")[:10]
        for name, text in {"since": since, "until": until}.items()
        if text is not None
    }
    if (found := look(search_for(options))) is not None:
        chosen = {} if workflow is None else {"workflow_id": workflow}
        document = found.client.get("costs", group_by=by.value, limit=limit, **chosen, **days)
    else:
        from compozy.cli.context import open_settings

        document = _costs_here(open_settings(options), by.value, workflow, days, limit)
    print_costs(document, as_json=options.as_json)


def _costs_here(project: LoadedProject, group: str, workflow: str | None, days: dict[str, str], limit: int) -> Document:
    from compozy.database.costs import CostFilter
    from compozy.storage import close_storage, open_reading
    from compozy.workflow.costs import cost_sums, no_costs

    wanted = CostFilter(workflow_ids=None if workflow is None else [workflow], **days)
    database = open_reading(project)
    if database is None:
        return no_costs(group)
    try:
        with database.read() as connection:
            return cost_sums(connection, group, wanted, limit=limit)
    finally:
        close_storage(database)
