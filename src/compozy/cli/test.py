"""`compozy test`: tests of workflows that replay recorded answers."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, globals_of, number, on_project
from compozy.cli.output import paint, print_error, print_json, print_line, print_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compozy.project.loaded import LoadedProject
    from compozy.replay.collect import Test
    from compozy.replay.session import Outcome

_FAILED = 1
_INVALID = 2
_NOTHING = 3


class TestMode(StrEnum):
    """How requests of tests are answered."""

    replay = "replay"
    record = "record"
    refresh = "refresh"
    auto = "auto"


@on_project(output=True)
def run_tests_command(
    options: ProjectOptions,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Test files or folders. Default: `tests` of the project."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("-k", metavar="TEXT", help="Run only tests whose name contains TEXT.", show_default=False),
    ] = None,
    mode: Annotated[
        TestMode, typer.Option("--mode", help="How requests are answered; always `replay` if CI is set.")
    ] = TestMode.replay,
    jobs: Annotated[int, number(1, 64, "--jobs", "-j", help="Number of processes.")] = 1,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML.", show_default=False),
    ] = None,
    worker: Annotated[bool, typer.Option("--worker", help="Run the tests that stdin names.", hidden=True)] = False,
) -> int:
    """Test workflows with recorded answers.

    Works without a key, a server or a network. Exits with 0 if all tests passed, 1 if one failed, 2 if a test file is
    invalid, and 3 if no test was found.
    """
    from compozy.cli.context import open_project
    from compozy.errors import ProjectError
    from compozy.replay.collect import find_test_files
    from compozy.replay.player import Mode

    _calm_log(options)
    project = open_project(options)
    chosen = Mode(mode.value) if not os.environ.get("CI") else Mode.REPLAY
    read = partial(_read, project)
    if worker:
        from compozy.replay.session import serve_worker

        serve_worker(project, lambda file: read([file]), chosen, sys.stdin, _write)
        return 0
    if chosen.value != mode.value and not options.quiet:
        print_note("note: CI is set, so recorded answers are replayed")
    try:
        tests = read(find_test_files(project, paths or [], cwd=Path.cwd()))
    except ProjectError as error:
        print_error(error, as_json=options.as_json)
        return _INVALID
    return _Session(options, project, chosen.value, jobs, junit).run_named(name, tests)


def _read(project: LoadedProject, files: Sequence[Path]) -> list[Test]:
    """Return the tests of `files`.

    Raises:
        ProjectError: a file or its cassette is invalid.
    """
    from compozy.errors import ProjectError
    from compozy.replay.collect import read_tests
    from compozy.replay.secrets import Secrets

    tests, faults = read_tests(project, files, cwd=Path.cwd(), secrets=Secrets.of_project(project))
    if faults:
        raise ProjectError(faults)
    return tests


def _calm_log(options: ProjectOptions) -> None:
    """Show only errors of runs: what the tests expect may be a warning."""
    from compozy.cli.options import LogLevel

    shared = globals_of(options.context)
    shared.log_level = shared.log_level or LogLevel.error


def _write(line: str) -> None:
    print_line(line)
    sys.stdout.flush()


class _Session:
    """One call of the command, after its tests are read."""

    def __init__(
        self, options: ProjectOptions, project: LoadedProject, mode: str, jobs: int, junit: Path | None
    ) -> None:
        self._options = options
        self._project = project
        self._mode = mode
        self._jobs = jobs
        self._junit = junit
        self._outcomes: list[Outcome] = []

    def run_named(self, name: str | None, known: Sequence[Test]) -> int:
        """Run the tests of `known` whose name contains `name`, all without one, and return the exit code."""
        selected = [test for test in known if name is None or name.casefold() in test.case.name.casefold()]
        if not selected:
            print_note("no tests found" if not known else f"no test has {name!r} in its name")
            return _NOTHING
        return self.run(selected, known)

    def run(self, tests: Sequence[Test], known: Sequence[Test]) -> int:
        """Run `tests`, report them, and return the exit code; `known` are all tests of their files."""
        from compozy.replay.player import Mode
        from compozy.replay.report import results_document, write_junit
        from compozy.replay.session import run_here, run_in_processes, write_recordings

        mode = Mode(self._mode)
        if self._jobs > 1 and len(tests) > 1:
            run_in_processes(self._project.file, tests, mode, self._jobs, self._report)
        else:
            run_here(self._project, tests, mode, self._report)
        order = {id(test): index for index, test in enumerate(tests)}
        self._outcomes.sort(key=lambda outcome: order[id(outcome.test)])
        written = write_recordings(self._project, self._outcomes, known)
        if self._junit is not None:
            write_junit(self._junit, self._outcomes)
        if self._options.as_json:
            print_json(results_document(self._outcomes, written))
        else:
            self._summarize(written)
        return 0 if all(outcome.has_passed for outcome in self._outcomes) else _FAILED

    def _report(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        if self._options.as_json:
            return
        mark = paint("✓", "green", stream=sys.stdout) if outcome.has_passed else paint("✗", "red", stream=sys.stdout)
        print_line(f"{mark} {outcome.test.file.shown}: {outcome.test.case.name}")
        for problem in outcome.result.problems:
            for line in problem.splitlines():
                print_line(f"    {line}")

    def _summarize(self, written: Sequence[str]) -> None:
        from compozy.plural import plural

        failed = sum(not outcome.has_passed for outcome in self._outcomes)
        passed = len(self._outcomes) - failed
        print_line(
            f"{plural(failed, 'test')} failed, {passed} passed" if failed else f"{plural(passed, 'test')} passed"
        )
        for file in written:
            print_line(f"Recorded {file}")
