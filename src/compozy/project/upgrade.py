"""The files of a project of the 2025 edition, rewritten in today's spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from compozy.config.extents import UnsupportedYamlError
from compozy.config.interpolate import modern_variables
from compozy.config.nodes import MappingNode
from compozy.config.parse import parse_yaml
from compozy.config.rewrite import rewrite_yaml
from compozy.errors import Diagnostic, ProjectError, SourceLocation
from compozy.project.edition2025.notes import Notes
from compozy.project.edition2025.project import modernize_project
from compozy.project.edition2025.tools import modernize_tool
from compozy.project.edition2025.workflow import (
    modernize_agent,
    modernize_resources,
    modernize_task,
    modernize_workflow,
)
from compozy.project.load import load_project
from compozy.project.resource_kinds import AGENT, TASK, TOOL, WORKFLOW
from compozy.project.resources import kind_of_file
from compozy.project.sources import find_config_file, read_sources


@dataclass(frozen=True, kw_only=True)
class UpgradedFile:
    """One file: its text as it is, and as it would be."""

    path: Path
    shown: str
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The unified diff, "" if nothing changes."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            fromfile=self.shown,
            tofile=self.shown,
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """The changes of a project upgrade.

    Attributes:
        files: those that change.
        removed: keys without an effect that it removes.
        left: what stays as it is and needs your attention, with the reason.
    """

    files: tuple[UpgradedFile, ...]
    removed: tuple[Diagnostic, ...]
    left: tuple[Diagnostic, ...]


def plan_upgrade(config_file: Path | None, *, cwd: Path, environ: Mapping[str, str]) -> Upgrade:
    """Return what an upgrade of the project changes; nothing is written.

    Raises:
        UsageError: there is no compozy.yaml.
    """
    path = find_config_file(config_file, cwd=cwd, environ=environ)
    sources = read_sources(path, cwd=cwd, flags={}, environ=environ)
    files: list[UpgradedFile] = []
    left: list[Diagnostic] = []
    notes = Notes()
    for name, shown in ((path, sources.shown), *((file.path, file.shown) for file in sources.workflows)):
        try:
            found = _upgraded(name, shown, notes, is_project=name == path)
        except UnsupportedYamlError as error:
            message = f"this file is left as it is: {error}"
            left.append(
                Diagnostic(location=SourceLocation(file=shown), message=message, hint="change it by hand", code="yaml")
            )
            continue
        if found is not None and found.after != found.before:
            files.append(found)
    left += _faults(path, cwd=cwd, environ=environ)
    unreadable = {fault.location.file for fault in left if not fault.location.line}
    removed = tuple(note for note in notes.items if note.location.file not in unreadable)
    return Upgrade(files=tuple(files), removed=removed, left=tuple(left))


def write_upgrade(upgrade: Upgrade) -> None:
    """Write the changed files, each completely or not at all.

    Raises:
        OSError: a file cannot be written.
    """
    for file in upgrade.files:
        data = file.path.read_bytes()
        mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
        temporary = file.path.with_name(f".{file.path.name}.upgrade")
        temporary.write_bytes(mark + file.after.encode())
        temporary.chmod(file.path.stat().st_mode & 0o7777)
        temporary.replace(file.path)


def _upgraded(path: Path, shown: str, notes: Notes, *, is_project: bool) -> UpgradedFile | None:
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    # A file with errors is reported as such.
    parsed = parse_yaml(text.replace("\r\n", "\n").encode(), file=shown)
    if parsed.faults or not isinstance(parsed.node, MappingNode) or not parsed.node.entries:
        return None
    changed = _modern(path, parsed.node, notes, is_project=is_project)
    return UpgradedFile(path=path, shown=shown, before=text, after=rewrite_yaml(text, parsed.node, changed))


def _modern(path: Path, node: MappingNode, notes: Notes, *, is_project: bool) -> MappingNode:
    if is_project:
        return modern_variables(modernize_resources(modernize_project(node, notes), notes))
    kind = kind_of_file(path, node)
    if kind == WORKFLOW:
        return modernize_workflow(node, notes)
    if kind == AGENT.name:
        return modernize_agent(node, notes)
    if kind == TOOL.name:
        return modernize_tool(node)
    return modernize_task(node, notes) if kind == TASK.name else node


def _faults(path: Path, *, cwd: Path, environ: Mapping[str, str]) -> Iterator[Diagnostic]:
    try:
        load_project(path, cwd=cwd, environ=environ)
    except ProjectError as error:
        yield from error.diagnostics
