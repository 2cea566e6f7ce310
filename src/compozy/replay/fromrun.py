"""Writes a test and its recording from the journal of a real run, and makes sure that the test passes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from compozy.config.parse import parse_yaml
from compozy.config.validate import validate
from compozy.database.executions import Execution, find_execution_id
from compozy.database.signals import TakenSignal, list_taken
from compozy.database.status import Status
from compozy.durable.context import Recorded
from compozy.durable.step import load_recorded
from compozy.errors import NotFoundError, ProjectError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.project.paths import shown_path
from compozy.replay.cassette import Recording, write_cassette
from compozy.replay.collect import Test, TestSource
from compozy.replay.config import SKIPPED, TestFile
from compozy.replay.driver import APPROVAL, TestResult, run_test
from compozy.replay.expect import is_skipped
from compozy.replay.journal import UNFINISHED, JournalPlayer
from compozy.replay.player import Mode, PlayedCall
from compozy.replay.secrets import Secrets
from compozy.replay.yamltext import to_yaml
from compozy.schema.json_kinds import is_map
from compozy.storage import close_storage, open_reading
from compozy.workflow.documents import read_run

_HEAD = "# Written by `compozy test --from-run`. Change it as you like.\n"
_MAX_SHOWN = 100
_SUFFIX = ".test.yaml"
_NOTHING = object()


@dataclass(frozen=True, kw_only=True)
class RealRun:
    """A run that has ended, with its journal.

    Attributes:
        run: its row.
        document: the run as `workflow get --format json` shows it.
        steps: its journal.
        signals: the signals that its tasks consumed.
    """

    run: Execution
    document: Mapping[str, Any]
    steps: Sequence[Recorded]
    signals: Sequence[TakenSignal]


def read_real_run(project: LoadedProject, execution_id: str) -> RealRun:
    """Return a run of the project's database. The start of its ID is enough.

    Raises:
        NotFoundError: there is none of this ID.
        UsageError: it has not ended, or was canceled.
    """
    database = open_reading(project)
    if database is None:
        raise NotFoundError(f"no execution {execution_id!r}: the project has no runs yet")
    try:
        with database.read() as connection:
            full_id = find_execution_id(connection, execution_id)
            run, document = read_run(connection, full_id)
            signals = list_taken(connection, full_id)
        if run.status not in {Status.SUCCESS, Status.FAILED}:
            words = "was canceled or timed out" if run.status.is_final else "has not ended"
            raise UsageError(
                f"execution {full_id!r} {words}: it is {run.status.value}",
                hint="choose an execution that ended with SUCCESS or FAILED",
            )
        return RealRun(run=run, document=document, steps=load_recorded(database, full_id), signals=signals)
    finally:
        close_storage(database)


def write_test(project: LoadedProject, real: RealRun, target: Path | None, *, cwd: Path) -> list[str]:
    """Write the test of a run and its cassette, and return the names of both files.

    Args:
        project: the project.
        real: the run.
        target: the test file; None for one with the name of the workflow in `tests`.
        cwd: folder of the user.

    Raises:
        UsageError: a file exists or cannot be written, or the run cannot be replayed.
    """
    source = _target(project, real.run.workflow_id, target, cwd)
    secrets = Secrets.of_project(project)
    first = _first_document(real, secrets)
    result = _replay(project, real, _test_of(first, source), secrets)
    document = _with_expectations(first, real, result, secrets)
    recording = result.recording or Recording()
    test = _test_of(document, source, recording)
    _refuse(real, run_test(project, test, mode=Mode.REPLAY, secrets=secrets).problems)
    _write(source, to_yaml(document), secrets)
    write_cassette(source.cassette, {test.case.name: recording}, file=source.shown_cassette, secrets=secrets)
    return [source.shown, source.shown_cassette]


def _target(project: LoadedProject, workflow_id: str, target: Path | None, cwd: Path) -> TestSource:
    path = project.root / "tests" / f"{workflow_id}{_SUFFIX}" if target is None else cwd / target
    if not path.name.endswith(_SUFFIX):
        raise UsageError(f"{target} is not the name of a test file", hint=f"end it with {_SUFFIX}")
    cassette = path.with_name(f"{path.name.removesuffix(_SUFFIX)}.cassette.yaml")
    for file in (path, cassette):
        if file.exists():
            raise UsageError(
                f"{shown_path(str(file), cwd)} exists",
                hint=f"name another file: `compozy test --from-run ID tests/NAME{_SUFFIX}`",
            )
    shown = [shown_path(str(file), cwd) for file in (path, cassette)]
    return TestSource(path=path, shown=shown[0], cassette=cassette, shown_cassette=shown[1], recordings={})


def _first_document(real: RealRun, secrets: Secrets) -> dict[str, Any]:
    """Return a test file that repeats the run, and expects only its status."""
    test: dict[str, Any] = {"name": f"execution {real.run.workflow_exec_id}", "input": real.run.input}
    if approvals := _approvals(real):
        test["approvals"] = approvals
    signals = [
        {"at": each.path, "name": each.name, "payload": each.payload}
        for each in real.signals
        if not each.name.startswith(APPROVAL)
    ]
    if signals:
        # The names of questions to a person are made from their texts, which a test may change.
        test["signals"] = [_without_made_name(each) for each in signals]
    if real.run.kept:
        test["stub"] = {"tasks": {task: _stub(result["end"]) for task, result in real.run.kept.items()}}
    test["expect"] = {"status": real.run.status.value}
    return {"workflow": real.run.workflow_id, "tests": [secrets.mask(test)]}


def _stub(end: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stub of a task that a rerun kept."""
    error = cast("dict[str, Any] | None", end["error"])
    return {"output": end["output"]} if error is None else {"error": error["message"]}


def _without_made_name(signal: dict[str, Any]) -> dict[str, Any]:
    is_made = str(signal["name"]).startswith(("answer:", "budget"))
    return {key: value for key, value in signal.items() if key != "name" or not is_made}


def _approvals(real: RealRun) -> dict[str, Any]:
    """Return the answers to approvals, by tool where all calls of it got the same one, else by task."""
    answers: dict[str, dict[str, Any]] = {}
    for each in real.signals:
        if each.name.startswith(APPROVAL):
            tool = each.path.rpartition("/")[2].split("-", 3)[-1]
            answers.setdefault(tool, {})[each.path] = _answer(each.payload)
    approvals: dict[str, Any] = {}
    for tool, by_path in answers.items():
        different = {json.dumps(answer, sort_keys=True) for answer in by_path.values()}
        approvals.update({tool: next(iter(by_path.values()))} if len(different) == 1 else by_path)
    return approvals


def _answer(payload: Any) -> Any:
    answer = cast("dict[str, Any]", payload)
    if answer.keys() == {"approve"}:
        return "approve" if answer["approve"] else "deny"
    return {key: value for key, value in answer.items() if key in {"approve", "reason", "arguments"}}


def _test_of(document: Mapping[str, Any], source: TestSource, recording: Recording | None = None) -> Test:
    """Return the test of a file, read from its text as `compozy test` reads it."""
    node = parse_yaml(to_yaml(document).encode("utf-8", "surrogatepass"), file=source.shown).node
    assert node is not None  # noqa: S101 - it was just written
    config, faults = validate(TestFile, node, label="the test file")
    if config is None:
        raise ProjectError(faults)
    [case] = config.tests
    recordings = {} if recording is None else {case.name: recording}
    file = replace(source, recordings=recordings)
    return Test(file=file, case=case, workflow_id=str(config.workflow), now_ms=None)


def _replay(project: LoadedProject, real: RealRun, test: Test, secrets: Secrets) -> TestResult:
    """Run the workflow again with the answers of the journal."""
    tasks: list[dict[str, Any]] = real.document["tasks"]
    unfinished = frozenset(task["path"] for task in tasks if task["status"] in UNFINISHED)
    played = partial(JournalPlayer, real.steps, unfinished=unfinished)
    started = replace(test, now_ms=real.run.started_ms or real.run.created_ms)
    result = run_test(project, started, mode=Mode.RECORD, secrets=secrets, played=played)
    _refuse(real, result.problems)
    return result


def _refuse(real: RealRun, problems: Sequence[str]) -> None:
    if problems:
        raise UsageError(
            f"execution {real.run.workflow_exec_id!r} cannot be replayed:\n  {problems[0]}",
            hint="if the files of the workflow have changed since, run the workflow again",
        )


def _with_expectations(first: Mapping[str, Any], real: RealRun, result: TestResult, secrets: Secrets) -> dict[str, Any]:
    before, now = secrets.mask(dict(real.document)), result.run
    expect: dict[str, Any] = {"status": real.run.status.value}
    output = _common(before["output"], now["output"])
    if output is not _NOTHING and output is not None:
        expect["output"] = output
    if now["error"]:
        expect["error"] = now["error"]["code"]
    expect["tasks"] = dict(_tasks(before, now))
    if result.calls:
        expect["tool_calls"] = _tool_calls(result.calls)
    requests = sum(usage.get("requests") or 0 for usage in now["usage"])
    expect["that"] = [f"usage.requests == {requests}"]
    [test] = first["tests"]
    return {**first, "tests": [{**test, "expect": expect}]}


def _common(first: Any, second: Any) -> Any:
    """Return the part of two values that is equal; a time or an ID of a run is not part of it."""
    if is_map(first) and is_map(second):
        shared = {key: _common(value, second[key]) for key, value in first.items() if key in second}
        kept: dict[str, Any] = {key: value for key, value in shared.items() if value is not _NOTHING}
        return kept if kept or not first else _NOTHING
    return first if json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True) else _NOTHING


def _tasks(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    known = {task["path"]: task for task in before["tasks"]}
    tasks = [task for task in now["tasks"] if not _is_question(task["path"])]
    for task in tasks[:_MAX_SHOWN]:
        other = known.get(task["path"])
        if other is None or other["status"] != task["status"]:
            continue
        status = SKIPPED if is_skipped(task) else task["status"]
        attempts = task["attempts"]
        yield task["path"], {"status": status, "attempts": attempts} if attempts > 1 else status


def _is_question(path: str) -> bool:
    """Return whether a task is a question to a person, which the run adds itself."""
    return path.rpartition("/")[2].startswith(("approve-", "answer-", "budget:", "budget-day:"))


def _tool_calls(calls: Sequence[PlayedCall]) -> list[dict[str, Any]]:
    described = [
        {"task": call.task, "tool": call.tool, "input": dict(call.input), "outcome": call.outcome} for call in calls
    ]
    counted = Counter(map(json.dumps, described))
    # Calls of one answer end in any order.
    return [{**json.loads(call), "times": times} for call, times in sorted(counted.items())[:_MAX_SHOWN]]


def _write(source: TestSource, text: str, secrets: Secrets) -> None:
    if secrets.find(text) is not None:
        raise UsageError(f"{source.shown} was not written: it would contain a secret", hint="please report this")
    try:
        source.path.parent.mkdir(parents=True, exist_ok=True)
        source.path.write_text(_HEAD + text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{source.shown} cannot be written: {error.strerror}") from error
