"""Finds the test files of a project, and reads them with their cassettes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compozy.config.nodes import MappingNode, Node, YamlPath, key_place_at, place_at
from compozy.config.parse import read_yaml
from compozy.config.validate import validate
from compozy.errors import Diagnostic, SourceLocation, UsageError
from compozy.nearest import nearest, suggest
from compozy.project.loaded import LoadedProject
from compozy.project.paths import shown_path
from compozy.replay.cassette import Recording, read_cassette
from compozy.replay.config import Evaluation, TestCase, TestFile
from compozy.replay.edition2025 import is_fixture, modernize_fixture
from compozy.replay.names import check_names
from compozy.replay.secrets import Secrets

_FOLDER = "tests"
_PATTERNS = ("*.test.yaml", "*.test.yml")
MAX_FILES = 10_000


@dataclass(frozen=True, kw_only=True)
class Test:
    """One test, ready to run.

    Attributes:
        file: the file that it is written in.
        case: the test.
        workflow_id: the workflow that it runs.
        now_ms: the time at the start of its run, None for that of the recording.
        node: the root of its file, None if it is not written in one.
        path: of the test in it.
    """

    file: TestSource
    case: TestCase
    workflow_id: str
    now_ms: int | None
    node: Node | None = field(default=None, repr=False, compare=False)
    path: YamlPath = ()

    def locate(self, *path: str | int) -> SourceLocation:
        """Return where the value at `path` of the test is written."""
        if self.node is None:
            return SourceLocation(file=self.file.shown)
        return place_at(self.node, (*self.path, *path))

    @property
    def recording(self) -> Recording:
        """Return what is recorded for the test."""
        return self.file.recordings.get(self.case.name, Recording())

    @property
    def missing(self) -> str:
        """Return why a request of the test has no recorded answer of its kind, and what to do."""
        source, name = self.file, self.case.name
        if not source.recordings and not source.cassette.exists():
            return f"{source.shown_cassette} does not exist; run `compozy test --mode record`"
        if name in source.recordings:
            return f"the recording in {source.shown_cassette} has none; run `compozy test --mode refresh`"
        about = f"{source.shown_cassette} has no recording of test {name!r}"
        similar = nearest(name, (other for other in source.recordings if other not in source.names))
        if similar is None:
            return f"{about}; run `compozy test --mode refresh`"
        return f"{about}, but one of {similar!r}; rename it there, or run `compozy test --mode refresh`"


@dataclass(frozen=True, kw_only=True)
class TestSource:
    """A test file and its cassette, as they were read.

    `shown` and `shown_cassette` are their names in messages, `names` those of the tests.
    """

    path: Path
    shown: str
    cassette: Path
    shown_cassette: str
    recordings: Mapping[str, Recording] = field(repr=False)
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class EvaluationSource:
    """One evaluation, ready to run; `workflow_id` is the workflow that it runs."""

    file: TestSource
    evaluation: Evaluation
    workflow_id: str


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The tests and evaluations of files in order, and all that is wrong with the files and their cassettes."""

    tests: list[Test] = field(default_factory=list[Test])
    evaluations: list[EvaluationSource] = field(default_factory=list[EvaluationSource])
    faults: list[Diagnostic] = field(default_factory=list[Diagnostic])


def find_test_files(project: LoadedProject, paths: Sequence[Path], *, cwd: Path) -> list[Path]:
    """Return the test files below `paths`, by default those below `tests` in the project's folder.

    Raises:
        UsageError: a path does not exist, or there are too many files.
    """
    found: set[Path] = set()
    for path in [cwd / path for path in paths] or [project.root / _FOLDER]:
        if path.is_file():
            found.add(path.resolve())
        elif path.is_dir():
            found.update(file.resolve() for pattern in _PATTERNS for file in path.rglob(pattern) if file.is_file())
        elif paths:
            raise UsageError(f"file {shown_path(str(path), cwd)} not found", hint="name a test file or a folder")
        if len(found) > MAX_FILES:
            raise UsageError(f"more than {MAX_FILES} test files", hint="name a folder with fewer files")
    return sorted(found)


def read_tests(project: LoadedProject, files: Iterable[Path], *, cwd: Path, secrets: Secrets) -> Collected:
    """Return what `files` contain."""
    collected = Collected()
    for path in files:
        found = _read_file(project, path, cwd, secrets)
        collected.tests.extend(found.tests)
        collected.evaluations.extend(found.evaluations)
        collected.faults.extend(found.faults)
    return collected


def _read_file(project: LoadedProject, path: Path, cwd: Path, secrets: Secrets) -> Collected:
    shown = shown_path(str(path), cwd)
    parsed = read_yaml(path, file=shown)
    if not isinstance(parsed.node, MappingNode):
        location = SourceLocation(file=shown)
        message = "expected a map with the keys `workflow` and `tests`"
        return Collected(faults=list(parsed.faults) or [Diagnostic(location=location, message=message, code="yaml")])
    node = modernize_fixture(parsed.node) if is_fixture(parsed.node) else parsed.node
    config, faults = validate(TestFile, node, label="the test file")
    faults = [*parsed.faults, *faults]
    if config is None:
        return Collected(faults=faults)
    faults += [*_check(project, config, node), *_check_evaluations(project, config, node)]
    faults += check_names(project, config, node)
    stem = path.name.removesuffix(".yml").removesuffix(".yaml").removesuffix(".test")
    cassette = path.parent / (config.cassette or f"{stem}.cassette.yaml")
    shown_cassette = shown_path(str(cassette), cwd)
    recordings, wrong = read_cassette(cassette, file=shown_cassette, secrets=secrets)
    source = TestSource(
        path=path,
        shown=shown,
        cassette=cassette,
        shown_cassette=shown_cassette,
        recordings=recordings,
        names=frozenset(case.name for case in config.tests),
    )
    tests = [
        Test(
            file=source,
            case=case,
            workflow_id=case.workflow or config.workflow or "",
            now_ms=config.now if case.now is None else case.now,
            node=node,
            path=("tests", index),
        )
        for index, case in enumerate(config.tests)
    ]
    evaluations = [
        EvaluationSource(file=source, evaluation=each, workflow_id=each.workflow or config.workflow or "")
        for each in config.evaluate
    ]
    return Collected(tests=tests, evaluations=evaluations, faults=[*faults, *wrong])


def _check(project: LoadedProject, config: TestFile, node: Node) -> Iterator[Diagnostic]:
    names = Counter(case.name for case in config.tests)
    if config.workflow is not None and config.workflow not in project.workflows:
        yield _unknown_workflow(project, config.workflow, place_at(node, ("workflow",)))
    if config.cassette is not None and "/" in config.cassette:
        place = place_at(node, ("cassette",))
        yield Diagnostic(
            location=place, message="cassette: expected the name of a file in the same folder", code="test"
        )
    for index, case in enumerate(config.tests):
        place = place_at(node, ("tests", index, "name"))
        if names[case.name] > 1:
            yield Diagnostic(location=place, message=f"two tests have the name {case.name!r}", code="duplicate_id")
        if case.expect.is_empty:
            place = key_place_at(node, ("tests", index, "expect"))
            hint = "write `status`, `output`, `tasks`, `tool_calls` or `that`"
            yield Diagnostic(location=place, message=f"test {case.name!r} expects nothing", hint=hint, code="test")
        if case.workflow is not None and case.workflow not in project.workflows:
            yield _unknown_workflow(project, case.workflow, place_at(node, ("tests", index, "workflow")))
        if case.workflow is None and config.workflow is None:
            yield Diagnostic(
                location=place, message=f"test {case.name!r} names no workflow", hint="write `workflow`", code="test"
            )


def _check_evaluations(project: LoadedProject, config: TestFile, node: Node) -> Iterator[Diagnostic]:
    names = Counter(each.name for each in config.evaluate)
    agents = [each.id for each in project.resources if each.kind.name == "agent"]
    for index, each in enumerate(config.evaluate):
        path = ("evaluate", index)
        place = place_at(node, (*path, "name"))
        if names[each.name] > 1:
            yield Diagnostic(
                location=place, message=f"two evaluations have the name {each.name!r}", code="duplicate_id"
            )
        if each.workflow is not None and each.workflow not in project.workflows:
            yield _unknown_workflow(project, each.workflow, place_at(node, (*path, "workflow")))
        if each.workflow is None and config.workflow is None:
            message = f"evaluation {each.name!r} names no workflow"
            yield Diagnostic(location=place, message=message, hint="write `workflow`", code="test")
        if each.judge is not None and each.judge.agent not in agents:
            hint = suggest(each.judge.agent, agents) or f"the shared agents are {', '.join(agents) or 'none'}"
            place = place_at(node, (*path, "judge", "agent"))
            message = f"agent: unknown agent {each.judge.agent!r}"
            yield Diagnostic(location=place, message=message, hint=hint, code="reference")


def _unknown_workflow(project: LoadedProject, workflow_id: str, place: SourceLocation) -> Diagnostic:
    known = ", ".join(project.workflows) or "none"
    hint = suggest(workflow_id, project.workflows) or f"this project has: {known}"
    return Diagnostic(
        location=place, message=f"workflow: unknown workflow {workflow_id!r}", hint=hint, code="reference"
    )
