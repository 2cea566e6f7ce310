"""`compozy test`: tests of workflows that replay recorded answers."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, globals_of, number, on_project
from compozy.cli.output import paint, print_error, print_json, print_line, print_note
from compozy.errors import CompozyError
from compozy.installation import end_with_stdin
from compozy.plural import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compozy.project.loaded import LoadedProject
    from compozy.replay.collect import Collected, EvaluationSource, Test
    from compozy.replay.evaluate import Evaluated
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


JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML.", show_default=False),
]
FromRunOption = Annotated[
    str | None,
    typer.Option(
        "--from-run",
        metavar="ID",
        help="Write a test from an execution instead, to PATH or `tests/WORKFLOW.test.yaml`.",
        show_default=False,
    ),
]
ChildOption = Annotated[bool, typer.Option("--until-stdin-ends", help="Watch for `compozy dev`.", hidden=True)]


@on_project(output=True, database=False)
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
    junit: JunitOption = None,
    from_run: FromRunOption = None,
    update: Annotated[
        bool, typer.Option("--update", help="Replace the expected status and outputs of failed tests.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Run affected tests again when files change.")] = False,
    until_stdin_ends: ChildOption = False,
    worker: Annotated[bool, typer.Option("--worker", help="Run the tests that stdin names.", hidden=True)] = False,
) -> int:
    """Test workflows with recorded answers.

    Works without a key, a server or a network. Exits with 0 if all tests passed, 1 if one failed, 2 if a test file is
    invalid, and 3 if no test was found.
    """
    from compozy.cli.context import open_project

    _calm_log(options)
    project = open_project(options)
    if from_run is not None:
        return _write_test(options, project, from_run, paths or [])
    chosen = TestMode.replay if os.environ.get("CI") else mode
    if worker:
        return _serve(project, chosen)
    if chosen is not mode and not options.quiet:
        print_note("note: CI is set, so recorded answers are replayed")
    updates = _may_update(wanted=update)

    def open_session(project: LoadedProject) -> _Session:
        return _Session(options, project, chosen.value, jobs, junit, updates=updates)

    if watch:
        writes = updates or chosen is not TestMode.replay
        return _watch(options, project, open_session, paths or [], name, writes=writes, is_child=until_stdin_ends)
    return open_session(project).run_files(paths or [], name)


def _watch(
    options: ProjectOptions,
    first: LoadedProject,
    open_session: Callable[[LoadedProject], _Session],
    paths: Sequence[Path],
    name: str | None,
    *,
    writes: bool,
    is_child: bool,
) -> int:
    """Run tests until Ctrl-C, those that a change affects again.

    With `is_child`, `compozy dev` reports errors of the project and how it is ended.
    """
    import threading

    from compozy.replay.collect import find_test_files
    from compozy.replay.watch import TestWatch

    _check_watch(options)
    if is_child:
        end_with_stdin()
    invalid: list[CompozyError] = []

    def report(error: CompozyError) -> None:
        if not (is_child and error in invalid):
            print_error(error, as_json=False)

    def read(project: LoadedProject) -> list[Test]:
        known = _read(project, find_test_files(project, paths, cwd=Path.cwd()))
        return _named(name, known.tests)

    def run(project: LoadedProject, tests: Sequence[Test]) -> None:
        known = _read(project, sorted({test.file.path for test in tests}))
        open_session(project).run_tests(tests, known.tests)

    watch = TestWatch(
        root=first.root,
        load=lambda: _load_again(options, invalid),
        read=read,
        run=run,
        report=report,
        waiting=lambda: None if is_child else print_note("Waiting for changes. Press Ctrl-C to stop."),
        writes=writes,
    )
    with suppress(KeyboardInterrupt):
        watch.run_until(threading.Event())
    return 0


def _load_again(options: ProjectOptions, invalid: list[CompozyError]) -> LoadedProject:
    """Read the project as it is now; an error is kept in `invalid`, too."""
    from compozy.cli.context import open_project

    # The command keeps the files that it has read.
    globals_of(options.context).files = None
    try:
        return open_project(options)
    except CompozyError as error:
        invalid[:] = [error]
        raise


def _check_watch(options: ProjectOptions) -> None:
    from compozy.errors import UsageError

    if os.environ.get("CI"):
        raise UsageError("`--watch` does not work if CI is set", hint="leave it out")
    if options.as_json:
        raise UsageError("`--watch` prints text only", hint="leave out `--format json`")


def _may_update(*, wanted: bool) -> bool:
    from compozy.errors import UsageError

    if wanted and os.environ.get("CI"):
        raise UsageError("`--update` does not work if CI is set", hint="update the tests on your machine")
    return wanted


def _serve(project: LoadedProject, mode: TestMode) -> int:
    """Run the tests that stdin names."""
    from compozy.replay.player import Mode
    from compozy.replay.session import serve_worker

    serve_worker(project, lambda file: _read(project, [file]).tests, Mode(mode.value), sys.stdin, _write)
    return 0


def _write_test(options: ProjectOptions, project: LoadedProject, execution_id: str, paths: Sequence[Path]) -> int:
    """Write a test from an execution."""
    from compozy.errors import UsageError
    from compozy.replay.fromrun import read_real_run, write_test

    if len(paths) > 1:
        raise UsageError("`--from-run` writes one test file", hint="name one PATH")
    real = read_real_run(project, execution_id)
    written = write_test(project, real, paths[0] if paths else None, cwd=Path.cwd())
    if options.as_json:
        print_json({"written": written})
        return 0
    for file in written:
        print_line(f"Wrote {file}")
    return 0


def _read(project: LoadedProject, files: Sequence[Path]) -> Collected:
    """Return the tests and evaluations of `files`.

    Raises:
        ProjectError: a file or its cassette is invalid.
    """
    from compozy.errors import ProjectError
    from compozy.replay.collect import read_tests
    from compozy.replay.secrets import Secrets

    collected = read_tests(project, files, cwd=Path.cwd(), secrets=Secrets.of_project(project))
    if collected.faults:
        raise ProjectError(collected.faults)
    return collected


def _named(name: str | None, tests: Sequence[Test]) -> list[Test]:
    """Return the tests that have `name` in their names; all without one."""
    wanted = (name or "").casefold()
    return [test for test in tests if wanted in test.case.name.casefold()]


def _calm_log(options: ProjectOptions) -> None:
    """Show only errors of runs: what the tests expect may be a warning."""
    from compozy.cli.options import LogLevel

    shared = globals_of(options.context)
    shared.log_level = shared.log_level or LogLevel.error


def _write(line: str) -> None:
    print_line(line)
    sys.stdout.flush()


def _mark(has_passed: bool) -> str:
    return paint("✓", "green", stream=sys.stdout) if has_passed else paint("✗", "red", stream=sys.stdout)


class _Session:
    """One call of the command, after its tests are read."""

    def __init__(
        self,
        options: ProjectOptions,
        project: LoadedProject,
        mode: str,
        jobs: int,
        junit: Path | None,
        *,
        updates: bool,
    ) -> None:
        self._updates = updates
        self._options = options
        self._project = project
        self._mode = mode
        self._jobs = jobs
        self._junit = junit
        self._outcomes: list[Outcome] = []
        self._evaluated: list[Evaluated] = []

    def run_files(self, paths: Sequence[Path], name: str | None) -> int:
        """Run the tests below `paths`, and return the exit code."""
        from compozy.errors import ProjectError
        from compozy.replay.collect import find_test_files

        try:
            known = _read(self._project, find_test_files(self._project, paths, cwd=Path.cwd()))
        except ProjectError as error:
            print_error(error, as_json=self._options.as_json)
            return _INVALID
        return self._run_named(name, known)

    def run_tests(self, tests: Sequence[Test], known: Sequence[Test]) -> int:
        """Run tests without evaluations, and return the exit code; `known` are all tests of their files."""
        return self._run(tests, [], known)

    def _run_named(self, name: str | None, known: Collected) -> int:
        """Run what has `name` in its name, everything without one, and return the exit code."""
        wanted = (name or "").casefold()
        tests = _named(name, known.tests)
        evaluations = [each for each in known.evaluations if wanted in each.evaluation.name.casefold()]
        if evaluations and self._mode != TestMode.record.value:
            if not self._options.quiet:
                print_note(f"note: {plural(len(evaluations), 'evaluation')} not run; use --mode record")
            evaluations = []
        if not tests and not evaluations:
            is_empty = not known.tests and not known.evaluations
            print_note("no tests found" if is_empty or name is None else f"no test has {name!r} in its name")
            return _NOTHING
        return self._run(tests, evaluations, known.tests)

    def _run(self, tests: Sequence[Test], evaluations: Sequence[EvaluationSource], known: Sequence[Test]) -> int:
        """Run `tests` and `evaluations`, report them, and return the exit code.

        `known` are all tests of their files.
        """
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
        self._evaluate(evaluations)
        if self._updates:
            written += self._update()
        if self._junit is not None:
            write_junit(self._junit, self._outcomes, self._evaluated)
        if self._options.as_json:
            print_json(results_document(self._outcomes, written, self._evaluated))
        else:
            self._summarize(written)
        return 0 if all(each.has_passed for each in (*self._outcomes, *self._evaluated)) else _FAILED

    def _update(self) -> list[str]:
        """Replace expectations of failed tests, and return the names of the files; the diff goes to stderr."""
        from compozy.replay.update import plan_updates, write_updates

        updates = plan_updates(self._outcomes)
        for update in updates:
            print_note(update.diff)
        write_updates(updates)
        return [update.shown for update in updates]

    def _evaluate(self, evaluations: Sequence[EvaluationSource]) -> None:
        from compozy.replay.evaluate import run_evaluation
        from compozy.replay.secrets import Secrets

        for source in evaluations:
            evaluated = run_evaluation(self._project, source, Secrets.of_project(self._project))
            self._evaluated.append(evaluated)
            if self._options.as_json:
                continue
            threshold, cases = source.evaluation.threshold, plural(len(evaluated.scores), "case")
            score = f"score {evaluated.mean:.2f} of {cases}, threshold {threshold:g}"
            print_line(f"{_mark(evaluated.has_passed)} {source.file.shown}: {source.evaluation.name}: {score}")
            for case, each in enumerate(evaluated.scores, 1):
                if each.problem or each.score < threshold:
                    print_line(f"    case {case}: {each.score:.2f} {each.problem or each.reason}".rstrip())

    def _report(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        if self._options.as_json:
            return
        print_line(f"{_mark(outcome.has_passed)} {outcome.test.file.shown}: {outcome.test.case.name}")
        for problem in outcome.result.problems:
            for line in problem.splitlines():
                print_line(f"    {line}")

    def _summarize(self, written: Sequence[str]) -> None:
        outcomes = [*self._outcomes, *self._evaluated]
        failed = sum(not outcome.has_passed for outcome in outcomes)
        passed = len(outcomes) - failed
        print_line(
            f"{plural(failed, 'test')} failed, {passed} passed" if failed else f"{plural(passed, 'test')} passed"
        )
        for file in written:
            print_line(f"{'Updated' if file.endswith(('.test.yaml', '.test.yml')) else 'Recorded'} {file}")
