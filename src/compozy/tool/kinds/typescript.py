"""A TypeScript or JavaScript function in a file of the project."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath

from compozy.config.settings import RuntimeSettings
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolKind

EXTRA = "typescript"
"""The extra of Compozy that installs Deno."""
SUFFIXES = frozenset({".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"})
"""Suffixes of the files of TypeScript tools."""
DEFAULT_EXPORT = "default"
"""Name of the export that `run` means if it names only a file."""
_RUNTIMES = ("deno", "node", "bun")


def is_typescript(file: str) -> bool:
    """Return whether the name of a file is one of a TypeScript or JavaScript file."""
    return PurePosixPath(file).suffix in SUFFIXES


def runtime_of(tool: ToolConfig, settings: RuntimeSettings) -> str:
    """Return what executes a tool: `deno`, `node` or `bun`."""
    return tool.runtime or settings.type


def packaged_deno() -> str | None:
    """Return the program of the package `deno`, None if the package is not installed."""
    try:
        from deno import find_deno_bin
    except ImportError:
        return None
    with suppress(FileNotFoundError):
        return find_deno_bin()
    return None


def _matches(tool: ToolConfig) -> bool:
    if tool.run is None:
        return False
    return tool.runtime in _RUNTIMES or (tool.runtime is None and is_typescript(tool.run.rpartition(":")[0]))


KIND = ToolKind(name="typescript", module="compozy.tool.typescript", matches=_matches)
