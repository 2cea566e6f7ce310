"""A checked project in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compozy.agent.budget import ProjectBudget
from compozy.config.nodes import MappingNode, ScalarNode, YamlPath, node_at, place_at
from compozy.config.retention import RetentionSettings
from compozy.config.settings import (
    DEFAULT_CONCURRENCY,
    DatabaseSettings,
    LimitSettings,
    MonitoringSettings,
    RateLimitSettings,
    RuntimeSettings,
    ServerSettings,
)
from compozy.errors import Diagnostic, NotFoundError, ProjectError, SourceLocation, UsageError
from compozy.knowledge.config import KnowledgeSettings
from compozy.model.config import ProviderConfig
from compozy.nearest import suggest
from compozy.project.file import ProjectOptions
from compozy.project.resources import Resource
from compozy.trigger.notification import OnFailure, Receiver, receiver_of
from compozy.workflow.config import WorkflowConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedWorkflow:
    """A workflow, the file it is written in, and where in it each value stands."""

    config: WorkflowConfig
    file: Path
    node: MappingNode = field(repr=False)

    def locate(self, path: YamlPath) -> SourceLocation:
        """Return the place of the value at `path`, such as `("tasks", 0, "prompt")`, in the words of the file."""
        return place_at(self.node, self._written(path))

    def text_locator(self, path: YamlPath) -> Callable[[int], SourceLocation]:
        """Return what maps an offset in the text at `path` to its place in the file."""
        found = node_at(self.node, self._written(path))
        if isinstance(found, ScalarNode):
            return found.locate
        place = self.locate(path)
        return lambda _: place

    def _written(self, path: YamlPath) -> YamlPath:
        """Return `path` with the synonym that the file uses."""
        uses_synonym = path[:1] == ("output",) and self.node.entry("output") is None
        return ("outputs", *path[1:]) if uses_synonym else path


@dataclass(frozen=True, kw_only=True, eq=False)
class InvalidWorkflow:
    """A workflow file with errors.

    `id` is the workflow ID that the file declares, or its name without the suffix. `file` is None if the errors are
    about which files there are.
    """

    id: str
    file: Path | None
    faults: tuple[Diagnostic, ...]

    @property
    def summary(self) -> str:
        """Return the errors in one line: the error itself if there is one, else how many there are."""
        first = self.faults[0]
        return (
            f"{first.location}: {first.message}"
            if len(self.faults) == 1
            else f"{first.location.file}: {len(self.faults)} errors"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedProject:
    """A folder of YAML, checked: everything that a run needs to know.

    `sources` tells by dotted key (`database.path`) where a setting came from; what it does not name is a default.
    `missing_keys` names the variable that the key of a provider would have come from. `environ` is the process's
    environment with `.env` under it. `workflows` holds the valid ones, none if the files were not read, and
    `invalid_workflows` the others. `resources` are those of the project, not of single workflows.
    `warnings` name keys that have no effect.
    """

    name: str
    version: str | None
    root: Path
    file: Path
    database: DatabaseSettings
    server: ServerSettings
    ratelimit: RateLimitSettings
    runtime: RuntimeSettings
    knowledge: KnowledgeSettings
    monitoring: MonitoringSettings
    retention: RetentionSettings
    limits: LimitSettings
    config: ProjectOptions
    providers: tuple[ProviderConfig, ...]
    workflows: Mapping[str, LoadedWorkflow]
    missing_keys: Mapping[str, str]
    sources: Mapping[str, str]
    environ: Mapping[str, str] = field(repr=False)
    budget: tuple[ProjectBudget, ...] = ()
    on_failure: OnFailure | None = None
    invalid_workflows: tuple[InvalidWorkflow, ...] = ()
    resources: tuple[Resource, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    def is_like(self, other: LoadedProject) -> bool:
        """Return whether both were read from files with the same content, and from the same variables."""
        return _content_of(self) == _content_of(other)

    @property
    def concurrency(self) -> int:
        """Largest number of concurrent runs of the project."""
        return self.runtime.max_concurrent_workflows or DEFAULT_CONCURRENCY[self.database.driver]

    @property
    def workflow_paths(self) -> list[Path]:
        """Return the workflow files, valid or not."""
        valid = [workflow.file for workflow in self.workflows.values()]
        return [*valid, *(invalid.file for invalid in self.invalid_workflows if invalid.file is not None)]

    def workflow(self, workflow_id: str) -> LoadedWorkflow:
        """Return one workflow.

        Raises:
            NotFoundError: the project has none of this id.
            ProjectError: its file has errors.
        """
        faults = [fault for other in self.invalid_workflows if other.id == workflow_id for fault in other.faults]
        if faults:
            raise ProjectError(faults)
        self.require_workflows([workflow_id])
        return self.workflows[workflow_id]

    def require_workflows(self, workflow_ids: Iterable[str]) -> None:
        """Check that the project has these workflows; their files may have errors.

        Raises:
            NotFoundError: it does not have one of them.
        """
        invalid = {workflow.id for workflow in self.invalid_workflows}
        for workflow_id in workflow_ids:
            if workflow_id not in self.workflows and workflow_id not in invalid:
                known = ", ".join(self.workflows) or "none"
                hint = suggest(workflow_id, self.workflows) or f"this project has: {known}"
                raise NotFoundError(f"no workflow {workflow_id!r} in project {self.name!r}", hint=hint)

    def receiver(self, workflow_id: str) -> Receiver:
        """Return the receiver of the notifications about failed runs of a workflow.

        Raises:
            UsageError: the files have none, or a variable of it is not set.
        """
        workflow = self.workflows.get(workflow_id)
        own = None if workflow is None else workflow.config.on_failure
        config = own or self.on_failure
        if config is None:
            raise UsageError(f"neither workflow {workflow_id!r} nor the project has `on_failure` any more")
        who = "`on_failure` of the project" if own is None else f"`on_failure` of workflow {workflow_id!r}"
        return receiver_of(config, self.environ, who)


def _content_of(project: LoadedProject) -> dict[str, Any]:
    return {
        **vars(project),
        "workflows": {workflow_id: _written(workflow) for workflow_id, workflow in project.workflows.items()},
        "invalid_workflows": list(map(vars, project.invalid_workflows)),
        "resources": list(map(_written, project.resources)),
    }


def _written(part: LoadedWorkflow | Resource) -> dict[str, Any]:
    # Also the places of values: errors show them.
    return {**vars(part), "node": repr(part.node)}
