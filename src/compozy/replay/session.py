"""Runs tests, in this process or in several, and writes their cassettes."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compozy.errors import InternalError, UsageError
from compozy.installation import own_command
from compozy.project.loaded import LoadedProject
from compozy.replay.cassette import Recording, write_cassette
from compozy.replay.collect import Test, TestSource
from compozy.replay.driver import TestResult, run_test
from compozy.replay.guard import closed_network
from compozy.replay.player import Mode, PlayedCall
from compozy.replay.secrets import Secrets

MAX_JOBS = 64
# Longer than any result: a recording has at most 10 MiB, and a run as many.
_MAX_LINE = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A test with its result."""

    test: Test
    result: TestResult

    @property
    def has_passed(self) -> bool:
        """Whether the run is as expected."""
        return not self.result.problems


def run_here(project: LoadedProject, tests: Sequence[Test], mode: Mode, report: Callable[[Outcome], None]) -> None:
    """Run tests one after the other in this process; `report` gets each result."""
    secrets = Secrets.of_project(project)
    with closed_network(is_closed=mode is Mode.REPLAY):
        for test in tests:
            report(Outcome(test=test, result=run_test(project, test, mode=mode, secrets=secrets)))


def run_in_processes(
    config_file: Path, tests: Sequence[Test], mode: Mode, jobs: int, report: Callable[[Outcome], None]
) -> None:
    """Run tests in `jobs` processes, each of which runs one test at a time.

    `report` gets each result, in the order of `tests`.

    Raises:
        InternalError: a process ended before it had run its test.
    """
    asyncio.run(_distribute(config_file, list(enumerate(tests)), mode, jobs, report))


async def _distribute(
    config_file: Path, tests: list[tuple[int, Test]], mode: Mode, jobs: int, report: Callable[[Outcome], None]
) -> None:
    queue = iter(tests)
    finished: dict[int, Outcome] = {}
    next_number = [0]

    def report_in_order(number: int, outcome: Outcome) -> None:
        finished[number] = outcome
        while next_number[0] in finished:
            report(finished.pop(next_number[0]))
            next_number[0] += 1

    async def work() -> None:
        command = [*own_command(), "test", "--worker", "--mode", mode.value, "--config", str(config_file)]
        pipe = asyncio.subprocess.PIPE
        worker = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_MAX_LINE)
        assert worker.stdin is not None  # noqa: S101 - it is a pipe
        assert worker.stdout is not None  # noqa: S101 - it is a pipe
        try:
            for number, test in queue:
                line = json.dumps({"file": str(test.file.path), "test": test.case.name})
                worker.stdin.write(f"{line}\n".encode())
                await worker.stdin.drain()
                answer = await worker.stdout.readline()
                if not answer:
                    raise InternalError(f"the process of test {test.case.name!r} ended with {await worker.wait()}")
                report_in_order(number, Outcome(test=test, result=_result_of(json.loads(answer))))
        finally:
            worker.stdin.close()
            if worker.returncode is None:
                await worker.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(jobs, len(tests))):
            group.create_task(work())


def serve_worker(
    project: LoadedProject, read: Callable[[Path], Sequence[Test]], mode: Mode, lines: Any, write: Callable[[str], None]
) -> None:
    """Run the tests that `lines` name, and write a line of JSON for each.

    Args:
        project: the project.
        read: returns the tests of a file.
        mode: how requests are answered.
        lines: lines of JSON, `{"file", "test"}`.
        write: writes a line.
    """
    files: dict[str, dict[str, Test]] = {}
    for line in lines:
        wanted: dict[str, str] = json.loads(line)
        file = wanted["file"]
        if file not in files:
            files[file] = {test.case.name: test for test in read(Path(file))}
        run_here(project, [files[file][wanted["test"]]], mode, lambda outcome: write(_line_of(outcome.result)))


def _line_of(result: TestResult) -> str:
    recording = None if result.recording is None else result.recording.to_json()
    values = {"problems": result.problems, "seconds": result.seconds, "recording": recording}
    calls = [vars(call) for call in result.calls]
    about = {"run": result.run, "events": result.events, "calls": calls, "has_ended": result.has_ended}
    return json.dumps({**values, **about})


def _result_of(values: Mapping[str, Any]) -> TestResult:
    recording = None if values["recording"] is None else Recording.from_json(values["recording"])
    return TestResult(
        problems=tuple(values["problems"]),
        seconds=values["seconds"],
        recording=recording,
        run=values["run"],
        events=tuple(values["events"]),
        calls=tuple(PlayedCall(**call) for call in values["calls"]),
        has_ended=values["has_ended"],
    )


def write_recordings(project: LoadedProject, outcomes: Sequence[Outcome], tests: Sequence[Test]) -> list[str]:
    """Write the cassettes of tests that were recorded, and return the names of the files.

    Args:
        project: the project.
        outcomes: the results.
        tests: all tests of their files; recordings of tests that no longer exist are left out.

    Raises:
        UsageError: a file cannot be written.
    """
    secrets = Secrets.of_project(project)
    recorded: defaultdict[Path, dict[str, Recording]] = defaultdict(dict)
    sources: dict[Path, TestSource] = {}
    for outcome in outcomes:
        if outcome.result.recording is not None:
            recorded[outcome.test.file.cassette][outcome.test.case.name] = outcome.result.recording
    written: list[str] = []
    order: defaultdict[Path, list[Test]] = defaultdict(list)
    for test in tests:
        order[test.file.cassette].append(test)
        sources[test.file.cassette] = test.file
    for cassette, new in recorded.items():
        source = sources[cassette]
        known = {test.case.name: test.recording for test in order[cassette]}
        recordings = {name: recording for name, recording in {**known, **new}.items() if recording.exchanges}
        try:
            write_cassette(cassette, recordings, file=source.shown_cassette, secrets=secrets)
        except OSError as error:
            raise UsageError(f"{source.shown_cassette} cannot be written: {error.strerror}") from error
        written.append(source.shown_cassette)
    return sorted(written)
