"""Paths that triggers add to the server, for as long as it takes requests."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from starlette.types import Receive, Scope, Send

from compozy.errors import UsageError
from compozy.installation import extra_hint
from compozy.project.loaded import LoadedProject
from compozy.server.service import Service
from compozy.trigger.registry import TriggerKind, kind_of


class Entry(Protocol):
    """An application at one path, behind the guard of the server."""

    path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None:
        """Answer a request to the path."""
        ...

    async def preload(self) -> None:
        """Load what the first request needs, without delaying others."""
        ...

    async def aclose(self) -> None:
        """End what is open, as soon as the requests that are being answered allow it."""
        ...


class _NewEntry(Protocol):
    def __call__(self, service: Service, /) -> Entry: ...


def check_triggers(project: LoadedProject) -> None:
    """Refuse to start without what a trigger or a notification of the project needs: packages, secrets.

    Raises:
        UsageError: a package is not installed, a secret is not set, or a trigger refuses to be served like this.
    """
    check_packages(project)
    for workflow_id, workflow in project.workflows.items():
        if workflow.config.on_failure is not None or project.on_failure is not None:
            project.receiver(workflow_id)
    for kind in _kinds_in(project):
        if kind.start_check:
            import_module(kind.start_check).check_project(project)


def check_packages(project: LoadedProject) -> None:
    """Refuse to continue without a package that a trigger of the project needs.

    Raises:
        UsageError: one is not installed.
    """
    for kind in _kinds_in(project):
        missing = [name for name in kind.packages if find_spec(name) is None]
        if missing:
            raise UsageError(
                f"triggers of type {kind.name!r} need {', '.join(missing)}, which is not installed",
                hint=extra_hint(kind.extra),
            )


def new_entries(service: Service) -> list[Entry]:
    """Return the entries that the triggers of the project ask for; modules of other kinds are not imported."""
    modules = [import_module(kind.entry) for kind in _kinds_in(service.app.project) if kind.entry]
    return [cast("_NewEntry", module.new_entry)(service) for module in modules]


def _kinds_in(project: LoadedProject) -> Iterable[TriggerKind]:
    """Return the kinds of the triggers of a project, each once."""
    triggers = [trigger for workflow in project.workflows.values() for trigger in workflow.config.triggers or ()]
    return {kind.name: kind for kind in map(kind_of, triggers)}.values()
