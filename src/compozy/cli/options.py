"""The options that several commands share, and what they come to together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Format(StrEnum):
    """How a result is written to stdout."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """Least severe log line that is shown."""

    debug = "debug"
    info = "info"
    warn = "warn"
    error = "error"


class LogFormat(StrEnum):
    """How log lines are written to stderr."""

    text = "text"
    json = "json"


class Driver(StrEnum):
    """Kind of database."""

    postgres = "postgres"
    sqlite = "sqlite"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="Project file, or its folder; also COMPOZY_CONFIG_FILE. Default: compozy.yaml here or above.",
        show_default=False,
    ),
]
DriverOption = Annotated[
    Driver | None, typer.Option("--db-driver", help="Database driver, instead of database.driver.", show_default=False)
]
PathOption = Annotated[
    str | None,
    typer.Option(
        "--db-path", metavar="PATH", help="SQLite file or :memory:, instead of database.path.", show_default=False
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Server to ask, also COMPOZY_BASE_URL. Default: the project's, if it runs.",
        show_default=False,
    ),
]
WaitForLockOption = Annotated[
    str,
    typer.Option(
        "--wait-for-lock", metavar="TIME", help="How long to wait for another process on the same SQLite file."
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="INPUT",
        help="Input: a JSON object, @FILE, - for stdin, or repeated NAME=TEXT and NAME:=JSON.",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How the result is written to stdout.")]


@dataclass(kw_only=True)
class Globals:
    """The options that stand before the command."""

    config: Path | None = None
    quiet: bool = False
    log_level: LogLevel | None = None
    log_format: LogFormat = LogFormat.text
    overrides: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


def globals_of(context: typer.Context) -> Globals:
    """Return the options that stand before the command."""
    return context.ensure_object(Globals)


def database_overrides(driver: Driver | None, path: str | None) -> Mapping[str, tuple[Any, str]]:
    """Return the settings that database flags set: `{dotted key: (value, flag)}`."""
    given: dict[str, tuple[Any, str]] = {}
    if driver is not None:
        given["database.driver"] = (driver.value, "--db-driver")
    if path is not None:
        given["database.path"] = (path, "--db-path")
    return given
