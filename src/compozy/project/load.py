"""A folder of YAML becomes one checked project, or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from compozy.config.layers import Layer
from compozy.config.nodes import MappingNode, NodePath, ScalarNode, node_at
from compozy.config.validate import validate
from compozy.errors import Fault, ProjectError, UsageError
from compozy.project.check import check_project
from compozy.project.file import ProjectFile
from compozy.project.loaded import LoadedProject, LoadedWorkflow
from compozy.project.paths import resolve_paths
from compozy.project.sources import ProjectSources, WorkflowSourceFile, find_config_file, read_sources
from compozy.workflow.config import WorkflowConfig

_FLAG = f"{Layer.FLAG} "
_EARLY_CODES = frozenset({"yaml", "variable", "env_file"})


def load_project(
    config_file: Path | None,
    *,
    cwd: Path,
    overrides: Mapping[str, tuple[Any, str]] | None = None,
    environ: Mapping[str, str],
) -> LoadedProject:
    """Read and check a project.

    Args:
        config_file: compozy.yaml or its folder; None is the one in `cwd`, or what COMPOZY_CONFIG_FILE names.
        cwd: the caller's folder, absolute; paths in flags and in the environment count from it.
        overrides: flags by the dotted key that they set, `{"database.path": ("x.db", "--db-path")}`; None is not set.
        environ: the environment; `.env` beside compozy.yaml is put under it, nothing is changed.

    Raises:
        UsageError: there is no compozy.yaml, or only flags are wrong.
        ProjectError: the files are wrong; it holds every fault of every file.
    """
    path = find_config_file(config_file, cwd=cwd, environ=environ)
    read = read_sources(path, cwd=cwd, flags=overrides or {}, environ=environ)
    settings, faults = validate(ProjectFile, read.node, label="compozy.yaml")
    workflows, workflow_faults = _validate_workflows(read.workflows)
    faults += [*workflow_faults, *check_project(read)]
    _raise_faults([*read.faults, *_unless_explained(faults, read.faults)])
    assert settings is not None  # noqa: S101 - without a fault there is a model
    return _assemble(read, resolve_paths(settings, read, cwd=cwd), workflows)


def _validate_workflows(files: Iterable[WorkflowSourceFile]) -> tuple[dict[str, LoadedWorkflow], list[Fault]]:
    workflows: dict[str, LoadedWorkflow] = {}
    faults: list[Fault] = []
    for file in files:
        if file.node is None:
            continue
        odd = _odd_resource(file.node)
        config, found = (None, [odd]) if odd else validate(WorkflowConfig, file.node, label="the workflow")
        faults += found
        if config is not None:
            workflows.setdefault(config.id, LoadedWorkflow(config=config, file=file.path, node=file.node))
    return dict(sorted(workflows.items())), faults


def _odd_resource(node: MappingNode) -> Fault | None:
    resource = node_at(node, ("resource",))
    if not isinstance(resource, ScalarNode) or resource.text == "workflow":
        return None
    return Fault(
        place=resource.place,
        message=f"resource {resource.text!r} is no workflow",
        hint="this version reads workflow files only; leave the file out with `autoload.exclude`",
        code="resource",
    )


def _unless_explained(faults: Iterable[Fault], earlier: Iterable[Fault]) -> list[Fault]:
    """Leave out faults in lines that could not be read in the first place: they only follow from that."""
    lines = {(fault.place.file, fault.place.line) for fault in earlier if fault.code in _EARLY_CODES}
    return [fault for fault in faults if (fault.place.file, fault.place.line) not in lines]


def _raise_faults(faults: Iterable[Fault]) -> None:
    distinct = sorted(set(faults))
    if not distinct:
        return
    if all(fault.place.file.startswith(_FLAG) for fault in distinct):
        message = "\n".join(f"{fault.place.file.removeprefix(_FLAG)}: {fault.message}" for fault in distinct)
        raise UsageError(message, hint=distinct[0].hint)
    raise ProjectError(distinct)


def _assemble(read: ProjectSources, settings: ProjectFile, workflows: dict[str, LoadedWorkflow]) -> LoadedProject:
    return LoadedProject(
        name=settings.name or read.root.resolve().name or "compozy",
        version=settings.version,
        root=read.root,
        file=read.config_file,
        database=settings.database,
        server=settings.server,
        runtime=settings.runtime,
        knowledge=settings.knowledge,
        limits=settings.limits,
        config=settings.config,
        providers=settings.llm.providers,
        workflows=workflows,
        missing_keys=_missing_keys(read.missing, settings),
        sources={key: str(source) for key, source in read.sources.items()},
        environ=read.environ,
    )


def _missing_keys(missing: Mapping[NodePath, str], settings: ProjectFile) -> dict[str, str]:
    """Return provider id -> the variable that its `api_key` would have come from."""
    return {
        settings.llm.providers[path[2]].id: variable
        for path, variable in missing.items()
        if path[:2] == ("llm", "providers") and isinstance(path[2], int)
    }
