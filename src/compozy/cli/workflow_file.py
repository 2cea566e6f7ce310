"""`workflow run FILE`: which workflow of the project a file holds."""

from __future__ import annotations

import os
from pathlib import Path

from compozy.cli.find import current_folder
from compozy.cli.options import ProjectOptions
from compozy.errors import UsageError
from compozy.project.sources import CONFIG_NAME, find_config_file, read_config, search_upwards

_SUFFIXES = (".yaml", ".yml")


def workflow_id_of(text: str, options: ProjectOptions) -> str:
    """Return the ID of the workflow that `text` names: itself, or the path of one of the project's workflow files.

    Args:
        text: what the command line says.
        options: the options of the command.

    Raises:
        UsageError: there is no such file, or the project does not load it.
    """
    if not text.endswith(_SUFFIXES):
        return text
    from compozy.config.nodes import MappingNode, text_at
    from compozy.config.parse import read_yaml
    from compozy.project.resource_kinds import WORKFLOW
    from compozy.project.resources import kind_of_file

    cwd = current_folder()
    file = cwd / text
    if not file.is_file():
        raise UsageError(f"workflow file {text!r} not found")
    _require_loaded(text, file, options, cwd)
    node = read_yaml(file, file=text).node
    kind = kind_of_file(file, node) if isinstance(node, MappingNode) else WORKFLOW
    if kind != WORKFLOW:
        raise UsageError(f"{text!r} holds a shared {kind}, not a workflow", hint="run a workflow that uses it")
    found = text_at(node, "id") if isinstance(node, MappingNode) else ""
    return found or file.stem


def _require_loaded(text: str, file: Path, options: ProjectOptions, cwd: Path) -> None:
    """Refuse a file that the project does not load: the project may hold another workflow of the same ID.

    Raises:
        UsageError: the project does not load it.
    """
    from compozy.project.discover import discover_files

    config_file = find_config_file(options.config_file, cwd=cwd, environ=os.environ)
    read = read_config(config_file, cwd=cwd, flags=options.overrides, environ=os.environ, files=options.files)
    loaded = discover_files(read.node, config_file=config_file, cwd=cwd).files
    if any(other.samefile(file) for other in loaded):
        return
    if file.resolve().is_relative_to(config_file.parent.resolve()):
        raise UsageError(
            f"the project does not load the workflow file {text!r}",
            hint=f"move it to {config_file.parent / 'workflows'}, or add it to `autoload.include` in {CONFIG_NAME}",
        )
    theirs = search_upwards(file.parent)
    raise UsageError(
        f"the workflow file {text!r} is outside the project in {config_file.parent}",
        hint=f"run it with `--config {theirs}`" if theirs else f"copy it to {config_file.parent / 'workflows'}",
    )
