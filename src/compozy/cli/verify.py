"""`compozy verify`: a durability self-test on the project's disk or database server."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from compozy.cli.options import Format, FormatOption, ProjectOptions, number, on_project
from compozy.cli.output import print_json, print_line, print_note, print_table
from compozy.errors import UsageError
from compozy.plural import plural

if TYPE_CHECKING:
    from types import FrameType

    from compozy.verify.result import VerifyResult

_TERMINATED = 143
_FAILED = 1
_SHOWN = 5


@on_project()
def verify_command(
    options: ProjectOptions,
    seconds: Annotated[int, number(1, 86_400, "--seconds", "-s", help="Time in which processes are killed.")] = 60,
    processes: Annotated[
        int | None,
        number(1, 16, "--processes", help="Number of servers. Default: 3, and 1 on SQLite.", show_default=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch database.")] = False,
    output: FormatOption = Format.text,
) -> int:
    """Kill servers at random and check for lost runs.

    It uses a scratch file or schema next to the project's database, whose runs are not touched.
    """
    from compozy.cli.context import open_tolerant
    from compozy.verify.storm import Plan, verify

    database = open_tolerant(options).database
    count = processes or (1 if database.has_one_writer else 3)
    if database.has_one_writer and count > 1:
        raise UsageError("--processes: one process executes runs on SQLite", hint="leave it out, or use PostgreSQL")
    # So that servers and the scratch database are removed on the way out.
    signal.signal(signal.SIGTERM, _leave)
    result = verify(database, Plan(seconds=seconds, processes=count, keep=keep), print_note)
    if output is Format.json:
        print_json(result.document())
    else:
        _print_result(result)
    return _FAILED if result.violations else 0


def _print_result(result: VerifyResult) -> None:
    print_line(
        f"{plural(result.kills, 'process')} killed during {plural(result.runs, 'run')}; "
        f"{result.repeated_requests} of {plural(result.requests, 'model request')} repeated"
    )
    print_line()
    rows = [[each.name, str(each.checked), str(len(each.violations))] for each in result.invariants]
    print_table(["INVARIANT", "CHECKS", "VIOLATIONS"], rows)
    for invariant in result.invariants:
        for violation in invariant.violations[:_SHOWN]:
            print_line(f"violation: {violation}")
        if len(invariant.violations) > _SHOWN:
            print_line(f"violation: {len(invariant.violations) - _SHOWN} more of {invariant.name!r}")
    print_line()
    print_line("No violations" if not result.violations else plural(result.violations, "violation"))
    if result.kept is not None:
        print_line(f"The scratch database is kept: {result.kept}")


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(_TERMINATED)
