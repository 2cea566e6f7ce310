"""From flags to a checked project, for the commands that need one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from compozy.cli.find import current_folder
from compozy.cli.options import LogFormat, globals_of

if TYPE_CHECKING:
    from compozy.project.loaded import LoadedProject


def open_project(
    context: typer.Context, config: Path | None, overrides: Mapping[str, tuple[Any, str]] | None = None
) -> LoadedProject:
    """Return the project that the flags name, and set up logging as it says.

    Raises:
        ProjectError: its files are wrong.
        UsageError: there is none.
    """
    from compozy.log import configure_logging
    from compozy.project.load import load_project

    options = globals_of(context)
    given = dict(overrides or {})
    if options.log_level is not None:
        given["runtime.log_level"] = (options.log_level.value, "--log-level")
    project = load_project(config or options.config, cwd=current_folder(), overrides=given, environ=os.environ)
    configure_logging(project.runtime.log_level, as_json=options.log_format is LogFormat.json)
    return project
