"""`compozy test --watch`: when files of a project change, the tests that they affect run again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compozy.errors import CompozyError
from compozy.project.loaded import LoadedProject
from compozy.project.watch import Stamps, read_stamps
from compozy.replay.collect import Test

_LOOK_S = 0.3
_OF_WORKFLOWS = frozenset({"workflows", "invalid_workflows", "resources", "warnings"})

_Name = tuple[Path, str]


@dataclass(kw_only=True)
class TestWatch:
    """Runs tests, and those that a change affects again.

    Attributes:
        root: folder of the project.
        load: reads and checks the project.
        read: returns the chosen tests of the project.
        run: runs tests and prints their results.
        report: prints why nothing runs.
        waiting: called when everything ran.
        writes: whether running tests changes their files.
    """

    root: Path
    load: Callable[[], LoadedProject]
    read: Callable[[LoadedProject], Sequence[Test]]
    run: Callable[[LoadedProject, Sequence[Test]], None]
    report: Callable[[CompozyError], None]
    waiting: Callable[[], None]
    writes: bool = False
    _project: LoadedProject | None = None
    _seen: dict[_Name, tuple[Any, ...]] = field(default_factory=dict[_Name, tuple[Any, ...]])
    _has_error: bool = False

    def run_until(self, stopping: threading.Event) -> None:
        """Run all tests, and look for changes until `stopping` is set."""
        seen: Stamps | None = None
        before: Stamps | None = None
        while True:
            now = read_stamps(self.root)
            # A file that is being written changes until it is complete.
            if now != seen and (now == before or seen is None):
                seen = now
                if self._run_changed():
                    self.waiting()
            before = now
            if stopping.wait(_LOOK_S):
                return

    def affected(self, project: LoadedProject, tests: Sequence[Test]) -> list[Test]:
        """Return the tests that differ from what they were when they last ran, or whose project does."""
        is_other = self._project is None or _settings_of(self._project) != _settings_of(project)
        return [test for test in tests if is_other or self._seen.get(_name(test)) != _parts(project, test)]

    def note(self, project: LoadedProject, tests: Sequence[Test]) -> None:
        """Remember the tests as they are."""
        self._project = project
        self._seen = {_name(test): _parts(project, test) for test in tests}

    def _run_changed(self) -> bool:
        """Run the affected tests, and return whether anything was printed."""
        try:
            project = self.load()
            tests = self.read(project)
            chosen = self.affected(project, tests)
            if not chosen and self._project is not None and not self._has_error:
                return False
            if chosen:
                self.run(project, chosen)
            # Expectations and recordings may be new; writing them is not a change.
            self.note(project, self.read(project) if self.writes else tests)
            self._has_error = False
        except CompozyError as error:
            self.report(error)
            self._has_error = True
        return True


def _name(test: Test) -> _Name:
    return test.file.path, test.case.name


def _parts(project: LoadedProject, test: Test) -> tuple[Any, ...]:
    """Return everything that decides about the result of a test, besides the settings of the project."""
    workflow = project.workflows.get(test.workflow_id)
    # With all that it names. Its nodes would differ: they are made for each reading.
    return test.case, test.now_ms, test.recording, workflow and workflow.config


def _settings_of(project: LoadedProject) -> dict[str, Any]:
    """Return the settings of a project, without its workflows and what they name: tests name their workflows."""
    return {name: value for name, value in vars(project).items() if name not in _OF_WORKFLOWS}
