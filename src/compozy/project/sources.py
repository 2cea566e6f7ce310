"""The files of a project, read and parsed, before anything in them is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compozy.config.database_rules import drop_foreign_variables
from compozy.config.envfile import EnvFile, read_env_file
from compozy.config.interpolate import interpolate
from compozy.config.layers import Outside, Source, lay_over
from compozy.config.nodes import MappingNode, ScalarNode, YamlPath
from compozy.config.parse import ParsedFile, read_yaml
from compozy.errors import Diagnostic, SourceLocation, UsageError
from compozy.project.discover import discover_files, shown
from compozy.project.edition2025.notes import Notes
from compozy.project.edition2025.project import modernize_project
from compozy.project.edition2025.workflow import modernize_resources

CONFIG_NAME = "compozy.yaml"


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceFile:
    """One file besides compozy.yaml: a workflow, or a shared resource. `node` is None when it is not a YAML map.

    `resource_files` are the files, as locations name them, of the resources that the workflow uses.
    """

    path: Path
    shown: str
    node: MappingNode | None
    resource_files: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, eq=False)
class ProjectSources:
    """Everything that was read. `node` is compozy.yaml with variables, environment and flags in it.

    `is_readable` is false when compozy.yaml is no YAML map: `node` then is empty, and what it lacks says nothing.
    `has_workflows` is false when no workflow file was read. `workflow_faults` are those found while reading them.
    `workflows` are all files that were found until they are linked (`compozy.project.link`); `cwd` is the folder from
    which locations name files.
    """

    config_file: Path
    shown: str
    cwd: Path
    node: MappingNode
    workflows: tuple[SourceFile, ...]
    missing: Mapping[YamlPath, str]
    sources: Mapping[str, Source]
    environ: Mapping[str, str] = field(repr=False)
    is_readable: bool = True
    has_workflows: bool = False
    faults: tuple[Diagnostic, ...] = ()
    workflow_faults: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def root(self) -> Path:
        """Return the project's folder."""
        return self.config_file.parent


def find_config_file(config_file: Path | None, *, cwd: Path, environ: Mapping[str, str]) -> Path:
    """Return the absolute path of compozy.yaml.

    Args:
        config_file: what `--config` says; a folder means the compozy.yaml in it. None searches `cwd` and its parents.
        cwd: the folder that relative paths count from.
        environ: `COMPOZY_CONFIG_FILE` is used when there is no flag.

    Raises:
        UsageError: there is no such file.
    """
    named = config_file or (Path(environ["COMPOZY_CONFIG_FILE"]) if environ.get("COMPOZY_CONFIG_FILE") else None)
    path = (cwd / named if named else search_upwards(cwd) or cwd / CONFIG_NAME).absolute()
    if path.is_dir():
        path /= CONFIG_NAME
    if path.is_file():
        return Path(*path.parts)
    hint = "make a project with `compozy init`, or name its file with `--config`"
    if named and path.name != CONFIG_NAME:
        raise UsageError(f"file {path} not found", hint=hint)
    raise UsageError(f"no {CONFIG_NAME} in {path.parent}", hint=hint)


def search_upwards(cwd: Path) -> Path | None:
    """Return the nearest compozy.yaml in `cwd` or the folders above it.

    The search ends below a folder of another user: a file there could make this user run commands on its project.
    """
    owner = cwd.stat().st_uid
    for folder in (cwd, *cwd.parents):
        if folder != cwd and folder.stat().st_uid != owner:
            return None
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    return None


class ConfigFiles:
    """The compozy.yaml and `.env` that a command needs more than once: read once, so that it sees one version."""

    def __init__(self) -> None:
        self._read: dict[tuple[Path, Path], tuple[ParsedFile, EnvFile]] = {}

    def read(self, config_file: Path, *, cwd: Path) -> tuple[ParsedFile, EnvFile]:
        """Return what compozy.yaml and the `.env` next to it hold; locations name them from the folder `cwd`."""
        known = self._read.get((config_file, cwd))
        if known is None:
            env_path = config_file.parent / ".env"
            env_file = read_env_file(env_path, file=shown(env_path, cwd))
            known = read_yaml(config_file, file=shown(config_file, cwd)), env_file
            self._read[config_file, cwd] = known
        return known


def read_sources(
    config_file: Path,
    *,
    cwd: Path,
    flags: Mapping[str, tuple[Any, str]],
    environ: Mapping[str, str],
    files: ConfigFiles | None = None,
) -> ProjectSources:
    """Read compozy.yaml, `.env` and the files of workflows and shared resources of the project of `config_file`."""
    config = read_config(config_file, cwd=cwd, flags=flags, environ=environ, files=files)
    discovered = discover_files(config.node, config_file=config_file, cwd=cwd)
    workflows, workflow_faults = _read_files(discovered.files, cwd)
    return replace(
        config,
        workflows=workflows,
        has_workflows=True,
        workflow_faults=(*discovered.faults, *workflow_faults),
    )


def read_config(
    config_file: Path,
    *,
    cwd: Path,
    flags: Mapping[str, tuple[Any, str]],
    environ: Mapping[str, str],
    files: ConfigFiles | None = None,
) -> ProjectSources:
    """Read compozy.yaml and `.env`, and no workflow; `files` are those that the command has read already."""
    name = shown(config_file, cwd)
    parsed, env_file = (files or ConfigFiles()).read(config_file, cwd=cwd)
    root, faults = _root_map(parsed, name, "a map with keys such as `database` and `llm`")
    merged = env_file.merged_under(environ)
    notes = Notes()
    filled = interpolate(modernize_resources(modernize_project(root, notes), notes), merged)
    assert isinstance(filled.node, MappingNode)  # noqa: S101 - filling keeps the shape
    outside = Outside(flags=flags, environ=environ, env_file=env_file.values, env_file_places=env_file.places)
    layered = lay_over(_without_empty(filled.node), outside)
    layered = drop_foreign_variables(layered)
    return ProjectSources(
        config_file=config_file,
        shown=name,
        cwd=cwd,
        node=layered.node,
        workflows=(),
        missing=filled.missing,
        sources=layered.sources,
        environ=merged,
        is_readable=isinstance(parsed.node, MappingNode),
        faults=(*faults, *env_file.faults, *filled.faults),
        warnings=tuple(notes.items),
    )


def _root_map(parsed: ParsedFile, file: str, expected: str) -> tuple[MappingNode, list[Diagnostic]]:
    """Return the root of a file; an empty map and a diagnostic if it is not a map."""
    if isinstance(parsed.node, MappingNode):
        return parsed.node, list(parsed.faults)
    faults = list(parsed.faults)
    if not faults:
        place = parsed.node.place if parsed.node else SourceLocation(file=file)
        message = f"expected {expected}" if parsed.node else f"the file is empty, expected {expected}"
        faults.append(Diagnostic(location=place, message=message, code="yaml"))
    return MappingNode(entries=(), place=SourceLocation(file=file)), faults


def _without_empty(node: MappingNode) -> MappingNode:
    """Leave out top-level keys with nothing behind them: a section whose lines are all commented out."""
    kept = tuple(
        entry for entry in node.entries if not (isinstance(entry.value, ScalarNode) and entry.value.value is None)
    )
    return MappingNode(entries=kept, place=node.place)


def _read_files(files: tuple[Path, ...], cwd: Path) -> tuple[tuple[SourceFile, ...], list[Diagnostic]]:
    workflows: list[SourceFile] = []
    faults: list[Diagnostic] = []
    for path in files:
        name = shown(path, cwd)
        parsed = read_yaml(path, file=name)
        root, found = _root_map(parsed, name, "a map with keys such as `id` and `tasks`")
        faults += found
        is_map = isinstance(parsed.node, MappingNode)
        workflows.append(SourceFile(path=path, shown=name, node=root if is_map else None))
    return tuple(workflows), faults
