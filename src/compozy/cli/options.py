"""The options that several commands share, declared once, and their values as one object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from compozy.project.sources import ConfigFiles

R = TypeVar("R")


def number(low: float, high: float, *names: str, help: str, show_default: bool = True) -> Any:  # noqa: A002 - as Typer names it
    """Declare an option whose value is a number from `low` to `high`.

    Typer's own limits are shown as `<int range>` and `1<=x<=1000`.
    """

    def check(value: float | None) -> float | None:
        if value is not None and not low <= value <= high:
            raise typer.BadParameter(f"expected a number from {low:g} to {high:g}, got {value:g}")
        return value

    text = f"{help[:-1]} ({low:g} to {high:g})."
    return typer.Option(*names, metavar="NUMBER", help=text, show_default=show_default, callback=check)


class Format(StrEnum):
    """Format of a result on stdout."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """Lowest log level that is shown."""

    debug = "debug"
    info = "info"
    warn = "warn"
    error = "error"


class LogFormat(StrEnum):
    """Format of log lines on stderr."""

    text = "text"
    json = "json"


class Driver(StrEnum):
    """Database driver."""

    postgres = "postgres"
    sqlite = "sqlite"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="Project file or its folder; also COMPOZY_CONFIG_FILE. Default: compozy.yaml here or above.",
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
        help="Server URL; also COMPOZY_BASE_URL. Default: the project's server, if it runs.",
        show_default=False,
    ),
]
WaitForLockOption = Annotated[
    str,
    typer.Option("--wait-for-lock", metavar="TIME", help="Time to wait for another process on the same SQLite file."),
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
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Format of the result on stdout.")]


@dataclass(kw_only=True)
class Globals:
    """The options that precede the command."""

    config: Path | None = None
    quiet: bool = False
    log_level: LogLevel | None = None
    log_format: LogFormat = LogFormat.text
    files: ConfigFiles | None = field(default=None, repr=False)


def globals_of(context: typer.Context) -> Globals:
    """Return the options that precede the command."""
    return context.ensure_object(Globals)


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """The options of a command on a project: where its files and its server are, its database, how a result is written.

    Args:
        context: the command's own.
        server: URL from `--server`; None looks for one.
        output: the value of `--format`.
        config: the value of `--config` behind the command.
        db_driver: the value of `--db-driver`.
        db_path: the value of `--db-path`.
        more: further settings from flags, `{dotted key: (value, flag)}`.
    """

    context: typer.Context
    server: str | None = None
    output: Format = Format.text
    config: Path | None = None
    db_driver: Driver | None = None
    db_path: str | None = None
    more: Mapping[str, tuple[Any, str]] = field(default_factory=dict[str, tuple[Any, str]])

    @property
    def config_file(self) -> Path | None:
        """The value of `--config`, before or behind the command."""
        return self.config or globals_of(self.context).config

    @property
    def quiet(self) -> bool:
        """Whether only results and errors are printed."""
        return globals_of(self.context).quiet

    @property
    def as_json(self) -> bool:
        """Whether the result is printed as JSON."""
        return self.output is Format.json

    @property
    def overrides(self) -> Mapping[str, tuple[Any, str]]:
        """The settings that flags set: `{dotted key: (value, flag)}`."""
        given = dict(self.more)
        if self.db_driver is not None:
            given["database.driver"] = (self.db_driver.value, "--db-driver")
        if self.db_path is not None:
            given["database.path"] = (self.db_path, "--db-path")
        return given

    @property
    def files(self) -> ConfigFiles:
        """The files of settings that this command has read."""
        from compozy.project.sources import ConfigFiles

        shared = globals_of(self.context)
        shared.files = shared.files or ConfigFiles()
        return shared.files


_NAMED = inspect.Parameter.KEYWORD_ONLY
_SHARED: Mapping[str, tuple[Any, object]] = {
    "server": (ServerOption, None),
    "output": (FormatOption, Format.text),
    "config": (ConfigOption, None),
    "db_driver": (DriverOption, None),
    "db_path": (PathOption, None),
}


def on_project(
    *, server: bool = False, output: bool = False, database: bool = True
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command the options `--config`, `--db-driver` and `--db-path`.

    Its function takes them as `ProjectOptions`, its first argument; on the command line they follow its own options.

    Args:
        server: also `--server`.
        output: also `--format`.
        database: whether it uses the database of the project; otherwise only `--config`.
    """
    wanted = {"server": server, "output": output, "db_driver": database, "db_path": database}
    names = [name for name in _SHARED if wanted.get(name, True)]

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @wraps(command)
        def call(context: typer.Context, **values: Any) -> R:
            shared = {name: values.pop(name) for name in names}
            return command(ProjectOptions(context=context, **shared), **values)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [
            inspect.Parameter("context", _NAMED, annotation=typer.Context),
            *(parameter.replace(kind=_NAMED) for parameter in own),
            *(inspect.Parameter(name, _NAMED, annotation=_SHARED[name][0], default=_SHARED[name][1]) for name in names),
        ]
        # The attributes of a function that Typer reads.
        vars(call)["__signature__"] = inspect.Signature(parameters)
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del vars(call)["__wrapped__"]
        return call

    return decorate
