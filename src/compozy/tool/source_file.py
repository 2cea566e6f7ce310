"""The file and the function that `run` of a tool names."""

from __future__ import annotations

from pathlib import Path

from compozy.errors import ToolError
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolHome


def find_function(config: ToolConfig, home: ToolHome) -> tuple[Path, str]:
    """Return the file and the name of the function of `run`.

    Raises:
        ToolError: the file does not exist or is outside of the project.
    """
    file, _, function = (config.run or "").rpartition(":")
    path = (home.root / file).resolve()
    if not path.is_relative_to(home.root.resolve()):
        raise ToolError(f"tool {config.id!r}: {file} is outside of the project")
    if not path.is_file():
        raise ToolError(f"tool {config.id!r}: the file {file} does not exist", hint="`run` is relative to its own file")
    return path, function
