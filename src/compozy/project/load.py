"""A folder of YAML becomes one checked project, or all that is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from compozy.config.layers import Layer
from compozy.config.nodes import YamlPath, text_at
from compozy.config.validate import validate
from compozy.errors import Diagnostic, ProjectError, UsageError
from compozy.project.check import check_project
from compozy.project.check_budgets import check_budgets
from compozy.project.file import ProjectFile
from compozy.project.link import LinkedProject, link_project
from compozy.project.loaded import InvalidWorkflow, LoadedProject, LoadedWorkflow
from compozy.project.paths import resolve_paths
from compozy.project.resources import with_listed
from compozy.project.sources import ConfigFiles, SourceFile, find_config_file, read_config, read_sources
from compozy.workflow.config import WorkflowConfig

_FLAG = f"{Layer.FLAG} "
_KEY_CODES = frozenset({"unknown_key", "missing_key"})
_EARLY_CODES = frozenset({"yaml", "variable", "env_file"})


class WorkflowFiles(Enum):
    """The workflow files that a command needs."""

    SKIP = auto()
    TOLERATE = auto()
    REQUIRE = auto()


def load_project(
    config_file: Path | None,
    *,
    cwd: Path,
    overrides: Mapping[str, tuple[Any, str]] | None = None,
    environ: Mapping[str, str],
    workflow_files: WorkflowFiles = WorkflowFiles.REQUIRE,
    files: ConfigFiles | None = None,
) -> LoadedProject:
    """Read and check a project.

    Args:
        config_file: compozy.yaml or its folder; None is the one in `cwd`, or what COMPOZY_CONFIG_FILE names.
        cwd: the caller's folder, absolute; paths in flags and in the environment count from it.
        overrides: flags by the dotted key that they set, `{"database.path": ("x.db", "--db-path")}`; None is not set.
        environ: the environment; `.env` beside compozy.yaml is put under it, nothing is changed.
        workflow_files: SKIP reads none; TOLERATE puts those with errors into `invalid_workflows`; REQUIRE refuses them.
        files: the compozy.yaml and `.env` that the command has read already.

    Raises:
        UsageError: there is no compozy.yaml, or only flags are wrong.
        ProjectError: the files are wrong; it holds every fault of every file that is required.
    """
    path = find_config_file(config_file, cwd=cwd, environ=environ)
    reader = read_config if workflow_files is WorkflowFiles.SKIP else read_sources
    linked = link_project(reader(path, cwd=cwd, flags=overrides or {}, environ=environ, files=files))
    read = linked.read
    # Its resources name schemas, tools and files, which are in place of the names by now.
    listed = with_listed(read.node, (resource for resource in linked.resources if resource.file is None))
    settings, faults = validate(ProjectFile, listed, label="compozy.yaml")
    workflows, workflow_faults = _validate_workflows(read.workflows)
    faults += [*linked.faults, *workflow_faults, *check_project(linked)]
    if settings is not None and not faults:
        faults += check_budgets(settings, workflows, read.environ)
    early = (*read.faults, *read.workflow_faults)
    found = [*early, *_unless_explained(faults, early)]
    invalid = _invalid_workflows(linked, found) if workflow_files is WorkflowFiles.TOLERATE else ()
    tolerated = {fault for workflow in invalid for fault in workflow.faults}
    if not tolerated.issuperset(found):
        _raise_faults(found)
    assert settings is not None  # noqa: S101 - without a fault there is a model
    project = _assemble(linked, resolve_paths(settings, read, cwd=cwd), workflows)
    return _without_invalid(project, invalid)


def _invalid_workflows(linked: LinkedProject, faults: Iterable[Diagnostic]) -> tuple[InvalidWorkflow, ...]:
    """Return the workflow files with diagnostics. Diagnostics about the set of files count as those of a file.

    A fault in the file of a shared resource is one of each workflow that uses it, or of the file if none does.
    """
    read = linked.read
    files = {file.shown: file for file in read.workflows}
    resource_files = {resource.node.place.file for resource in linked.resources if resource.file is not None}
    users: defaultdict[str, set[str]] = defaultdict(set)
    for file in read.workflows:
        for name in (file.shown, *file.resource_files):
            users[name].add(file.shown)
    by_file: defaultdict[str, set[Diagnostic]] = defaultdict(set)
    for fault in faults:
        name = fault.location.file
        if name == read.shown:
            continue
        if name in users or name in resource_files or fault in read.workflow_faults:
            for user in users.get(name, {name}):
                by_file[user].add(fault)
    return tuple(
        InvalidWorkflow(
            id=_declared_id(files.get(name)) or Path(name).stem,
            file=files[name].path if name in files else None,
            faults=tuple(sorted(found)),
        )
        for name, found in sorted(by_file.items())
    )


def _declared_id(file: SourceFile | None) -> str:
    return text_at(file.node, "id") if file is not None and file.node is not None else ""


def _without_invalid(project: LoadedProject, invalid: tuple[InvalidWorkflow, ...]) -> LoadedProject:
    files = {workflow.file for workflow in invalid}
    valid = {name: workflow for name, workflow in project.workflows.items() if workflow.file not in files}
    return replace(project, workflows=valid, invalid_workflows=invalid)


def _validate_workflows(files: Iterable[SourceFile]) -> tuple[dict[str, LoadedWorkflow], list[Diagnostic]]:
    workflows: dict[str, LoadedWorkflow] = {}
    faults: list[Diagnostic] = []
    for file in files:
        if file.node is None:
            continue
        config, found = validate(WorkflowConfig, file.node, label="the workflow")
        faults += found
        if config is not None:
            workflows.setdefault(config.id, LoadedWorkflow(config=config, file=file.path, node=file.node))
    return dict(sorted(workflows.items())), faults


def _unless_explained(faults: Iterable[Diagnostic], earlier: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Leave out diagnostics in lines that could not be parsed, since they are only consequences."""
    lines = {(fault.location.file, fault.location.line) for fault in earlier if fault.code in _EARLY_CODES}
    return [fault for fault in faults if (fault.location.file, fault.location.line) not in lines]


def _without_repeated_keys(faults: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics in order, each key once: a shared resource is checked by itself, and where it is used."""
    distinct: dict[tuple[object, ...], Diagnostic] = {}
    for fault in sorted(set(faults), key=lambda fault: -len(fault.message)):
        about = fault.message.partition(" in ")[0] if fault.code in _KEY_CODES else fault.message
        distinct.setdefault((fault.location, fault.code, about, fault.hint), fault)
    return sorted(distinct.values())


def _raise_faults(faults: Iterable[Diagnostic]) -> None:
    distinct = _without_repeated_keys(faults)
    if not distinct:
        return
    if all(fault.location.file.startswith(_FLAG) for fault in distinct):
        message = "\n".join(f"{fault.location.file.removeprefix(_FLAG)}: {fault.message}" for fault in distinct)
        raise UsageError(message, hint=distinct[0].hint)
    raise ProjectError(distinct)


def _assemble(linked: LinkedProject, settings: ProjectFile, workflows: dict[str, LoadedWorkflow]) -> LoadedProject:
    read = linked.read
    return LoadedProject(
        name=settings.name or read.root.resolve().name or "compozy",
        version=settings.version,
        root=read.root,
        file=read.config_file,
        database=settings.database,
        server=settings.server,
        ratelimit=settings.ratelimit,
        runtime=settings.runtime,
        knowledge=settings.knowledge,
        monitoring=settings.monitoring,
        retention=settings.retention,
        limits=settings.limits,
        config=settings.config,
        budget=settings.budget,
        on_failure=settings.on_failure,
        providers=settings.llm.providers,
        workflows=workflows,
        resources=linked.resources,
        warnings=linked.warnings,
        missing_keys=_missing_keys(read.missing, settings),
        sources={key: str(source) for key, source in read.sources.items()},
        environ=read.environ,
    )


def _missing_keys(missing: Mapping[YamlPath, str], settings: ProjectFile) -> dict[str, str]:
    """Return provider id -> the variable that its `api_key` would have come from."""
    return {
        settings.llm.providers[path[2]].id: variable
        for path, variable in missing.items()
        if path[:2] == ("llm", "providers") and isinstance(path[2], int)
    }
