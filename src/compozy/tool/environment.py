"""The environment of a tool: a few variables that programs need, and those that the tool names; nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from compozy.errors import ToolError
from compozy.tool.config import ToolConfig

BLOCKED = frozenset(
    {
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH"),
        *("NODE_OPTIONS", "DENO_V8_FLAGS", "BUN_CONFIG_PROFILE", "PYTHONSTARTUP", "BASH_ENV"),
    }
)
"""Variables that make other programs load code."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "DENO_DIR")
_VARIABLE = re.compile(
    r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\{\{-?\s*\.env\.([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}"
)
_MASK = "********"
# Shorter values are words that occur anywhere.
_MIN_SECRET = 6


def process_environment(tool: ToolConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the process of a tool.

    Raises:
        ToolError: a variable that it names is not set.
    """
    return {**basic_environment(environ), **own_environment(tool, environ)}


def basic_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that programs need; none of them holds a secret."""
    return {name: environ[name] for name in _PASSED_ON if name in environ}


def own_environment(tool: ToolConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in `env` of a tool, with their values.

    Raises:
        ToolError: a variable is not set and has no default.
    """
    who = f"tool {tool.id!r}"
    return {name: fill_variables(value, environ, who, tool=tool.id) for name, value in (tool.env or {}).items()}


def fill_variables(text: str, environ: Mapping[str, str], who: str, **details: str) -> str:
    """Return a text with the values of its variables, `${VAR}` and `{{ .env.VAR }}`.

    Args:
        text: as it is written.
        environ: the variables.
        who: what needs them, for the error.
        details: of the error.

    Raises:
        ToolError: a variable is not set and has no default.
    """

    def value_of(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        value = environ.get(name) or found[2]
        if value is None:
            raise ToolError(
                f"{who} needs the variable {name}, which is not set",
                hint="set it in the environment or in .env",
                details={**details, "variable": name},
            )
        return value

    return _VARIABLE.sub(value_of, text)


def mask_values(value: Any, secrets: Iterable[str]) -> Any:
    """Return a JSON value in which each secret is replaced by asterisks, wherever a text contains it."""
    hidden = sorted({secret for secret in secrets if len(secret) >= _MIN_SECRET}, key=len, reverse=True)
    return _masked(value, hidden) if hidden else value


def _masked(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _MASK)
        return value
    if isinstance(value, list):
        return [_masked(item, secrets) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _masked(item, secrets) for key, item in cast("dict[str, Any]", value).items()}
    return value
