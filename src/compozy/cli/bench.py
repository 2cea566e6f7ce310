"""`compozy bench`: measure the project's database, or compare several."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from compozy.cli.complete import complete_workflows
from compozy.cli.options import Format, FormatOption, InputOption, ProjectOptions, globals_of, number
from compozy.cli.output import flush_output, print_json, print_line, print_table
from compozy.config.timespan import format_duration
from compozy.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from compozy.bench.measure import Plan
    from compozy.bench.result import BenchResult
    from compozy.project.loaded import LoadedProject

_TERMINATED = 143
_DRIVER = "{driver}"
# How results and charts begin.
_STARTS = (b'{\n  "format": 1,\n  "compozy_version"', b"<svg xmlns")
_START_LENGTH = 64


ConfigsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="Project file or its folder; repeat to compare several. Default: compozy.yaml here.",
        show_default=False,
    ),
]
ResultOption = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the result to this file; {driver} is replaced by the driver.",
        show_default=False,
    ),
]
ChartOption = Annotated[
    Path | None,
    typer.Option("--chart", metavar="FILE", help="Draw the results as SVG to this file.", show_default=False),
]
WorkflowsOption = Annotated[int, number(1, 1000, "--workflows", "-n", help="Concurrent runs of the first phase.")]


def bench_command(
    context: typer.Context,
    configs: ConfigsOption = None,
    workflow_id: Annotated[
        str, typer.Option("--workflow", metavar="ID", help="Workflow to run.", autocompletion=complete_workflows)
    ] = "benchmark",
    given: InputOption = None,
    workflows: WorkflowsOption = 10,
    max_load: Annotated[
        int, number(1, 128, "--max-load", help="Highest number of concurrent runs in the second phase.")
    ] = 128,
    result_file: ResultOption = None,
    chart: ChartOption = None,
    output: FormatOption = Format.text,
) -> None:
    """Measure the database under increasing load."""
    from compozy.bench.load import Job
    from compozy.bench.measure import Plan
    from compozy.cli.arguments import read_inputs
    from compozy.cli.context import open_valid_workflows

    wanted = configs or [globals_of(context).config]
    each = [ProjectOptions(context=context, config=config) for config in wanted]
    projects = [open_valid_workflows(options, workflow_id=workflow_id) for options in each]
    for project in projects:
        project.workflow(workflow_id)
    files, as_json = _result_files(result_file, projects), output is Format.json
    written = [*files, *((chart,) if chart else ())]
    for file in written:
        _check_folder(file)
    job = Job(workflow_id=workflow_id, given=read_inputs(given))
    signal.signal(signal.SIGTERM, _leave)
    plan = Plan(job=job, workflows=workflows, max_load=max_load)
    results = [_measure(project, plan, as_json=as_json) for project in projects]
    _write_results(results, files, chart)
    _print_end(results, written, as_json=as_json)


def _measure(project: LoadedProject, plan: Plan, *, as_json: bool) -> BenchResult:
    from compozy.bench.measure import measure
    from compozy.bench.server import measured_server

    if not as_json:
        print_line(f"Running benchmark with {_name(project.database.driver)}...")
        flush_output()
    secret = project.server.api_key
    with measured_server(project.file, api_key=secret.get_secret_value() if secret else None) as server:
        result = measure(server, project.database.driver, plan)
    if not as_json:
        print_line(f"{_workflows(result.workflows)} executed in {format_duration(result.executed_s)}")
        print_line(f"Average latency: {result.average_latency_ms:.0f}ms")
        print_line(f"Peak concurrency: {_workflows(result.peak_concurrency)}")
        print_line()
        flush_output()
    return result


def _print_end(results: Sequence[BenchResult], written: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        print_json({"results": [result.model_dump(mode="json") for result in results]})
        return
    if len(results) > 1:
        rows = [
            (f"{_workflows(results[0].workflows)} in", [format_duration(result.executed_s) for result in results]),
            ("average latency", [f"{result.average_latency_ms:.0f}ms" for result in results]),
            ("95 of 100 within", [f"{result.p95_ms:.0f}ms" for result in results]),
            ("peak concurrency", [str(result.peak_concurrency) for result in results]),
        ]
        print_table(["", *(_name(result.database) for result in results)], [[name, *cells] for name, cells in rows])
        print_line()
    for file in written:
        print_line(f"wrote {file}")


def _result_files(pattern: str | None, projects: Sequence[LoadedProject]) -> list[Path]:
    """Return where the result of each project goes.

    Raises:
        UsageError: two of them would go to one file.
    """
    if pattern is None:
        return []
    files = [pattern.replace(_DRIVER, project.database.driver) for project in projects]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise UsageError(
            f"--output: two results would be written to {twice!r}",
            hint=f"measure them one by one, or use {_DRIVER} where the drivers differ: results-{_DRIVER}.json",
        )
    return [Path(file) for file in files]


def _check_folder(file: Path) -> None:
    """Refuse a file that cannot be written before minutes are spent on what belongs into it."""
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise UsageError(f"cannot write {str(file)!r}: its folder does not exist, or it is a folder itself")
    if file.exists() and not _is_ours(file):
        raise ConflictError(f"{str(file)!r} exists and is not a benchmark result", hint="name another one")


def _is_ours(file: Path) -> bool:
    """Return whether a file is what a former measurement wrote, and may be replaced."""
    if not file.is_file():
        # A terminal or a pipe, such as /dev/stdout: there is nothing to be replaced.
        return True
    with file.open("rb") as found:
        start = found.read(_START_LENGTH)
    return not start.strip() or start.startswith(_STARTS)


def _write_results(results: Sequence[BenchResult], files: Sequence[Path], chart: Path | None) -> None:
    from compozy.bench.chart import draw_chart

    for file, result in zip(files, results, strict=False):
        _write(file, f"{result.model_dump_json(indent=2)}\n")
    if chart is not None:
        _write(chart, draw_chart(results))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {str(file)!r}: {error.strerror}") from error


def _name(driver: str) -> str:
    from compozy.config.database_rules import TITLES

    return TITLES[driver]


def _workflows(count: int) -> str:
    return f"{count} workflow{'' if count == 1 else 's'}"


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # So that the server of the measurement is ended on the way out.
    sys.exit(_TERMINATED)
