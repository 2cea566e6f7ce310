"""The entry point: the command tree, and the conversion of errors to messages and exit codes."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from copy import copy
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, Exit, TyperException

from compozy.cli.auth import auth_app
from compozy.cli.batch import workflow_app
from compozy.cli.bench import bench_command
from compozy.cli.chat import chat_command
from compozy.cli.config import config_app
from compozy.cli.costs import costs_command
from compozy.cli.db import db_app
from compozy.cli.dev import dev_command
from compozy.cli.doctor import doctor_command
from compozy.cli.event import event_app
from compozy.cli.knowledge import knowledge_app
from compozy.cli.mcp import mcp_app
from compozy.cli.memory import memory_app
from compozy.cli.migrate import migrate_app
from compozy.cli.options import ConfigOption, Format, Globals, LogFormat, LogLevel
from compozy.cli.output import (
    OutputError,
    close_notes,
    close_output,
    flush_output,
    open_streams,
    print_error,
    print_note,
)
from compozy.cli.plainvalues import keep_plain_values
from compozy.cli.project import completion_command, init_command, project_app, schema_command, version_command
from compozy.cli.schedule import schedule_app
from compozy.cli.server import health_command, start_command, ui_command, worker_command
from compozy.cli.test import run_tests_command
from compozy.cli.verify import verify_command
from compozy.cli.webhook_deliveries import webhook_app
from compozy.errors import CompozyError, InternalError, UsageError
from compozy.installation import DOCUMENTATION_URL

_INTERRUPTED = 130
_COMPLETE = "_COMPOZY_COMPLETE"
_GLOBAL_FLAGS = frozenset({"-q", "--quiet", "--no-color"})
_GLOBAL_VALUES = frozenset({"--log-level", "--log-format"})
# Commands of other tools, and what does the same here.
_HABITS = {
    "run": "use `compozy workflow run ID`",
    "serve": "use `compozy start`",
    "up": "use `compozy start`",
    "logs": "use `compozy workflow get EXECUTION` for a run; `compozy start` writes its log to stderr",
    **dict.fromkeys(("ps", "ls", "list"), "use `compozy workflow list`"),
    **dict.fromkeys(("get", "show", "status", "describe"), "use `compozy workflow get EXECUTION`"),
    **{word: f"use `compozy workflow {word} EXECUTION`" for word in ("approve", "cancel", "pause", "resume", "signal")},
    **{word: f"use `compozy knowledge {word}`" for word in ("ingest", "query")},
    **{word: f"use `compozy db {word}`" for word in ("backup", "restore", "export", "import")},
    **dict.fromkeys(("new", "create"), "use `compozy init`"),
    **dict.fromkeys(("validate", "check", "lint"), "use `compozy config validate`"),
}
# Messages of the command-line library about invalid values, with our replacements.
_WORDS = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "expected a whole number",
    "Input should be": "expected a number that is",
}


def _print_version(wanted: bool) -> None:
    if wanted:
        version_command(Format.text)
        raise typer.Exit


app = typer.Typer(
    name="compozy",
    help="AI workflows written in YAML, every step durable in one database.",
    epilog=f"Docs: {DOCUMENTATION_URL}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(workflow_app, name="workflow")
app.command("chat")(chat_command)
app.command("start")(start_command)
app.command("dev")(dev_command)
app.command("worker")(worker_command)
app.command("ui")(ui_command)
app.command("health")(health_command)
app.command("costs")(costs_command)
app.add_typer(knowledge_app, name="knowledge")
app.add_typer(memory_app, name="memory")
app.add_typer(schedule_app, name="schedule")
app.add_typer(event_app, name="event")
app.add_typer(webhook_app, name="webhook")
app.add_typer(mcp_app, name="mcp")
app.add_typer(auth_app, name="auth")
app.add_typer(migrate_app, name="migrate")
app.add_typer(db_app, name="db")
app.add_typer(config_app, name="config")
app.add_typer(project_app, name="project")
app.command("test")(run_tests_command)
app.command("doctor")(doctor_command)
app.command("bench")(bench_command)
app.command("verify")(verify_command)
app.command("init")(init_command)
app.command("schema")(schema_command)
app.command("completion")(completion_command)
app.command("version")(version_command)


@app.callback()
def common_options(
    context: typer.Context,
    config: ConfigOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")] = False,
    log_level: Annotated[
        LogLevel | None,
        typer.Option("--log-level", help="Lowest log level shown, instead of runtime.log_level.", show_default=False),
    ] = None,
    log_format: Annotated[LogFormat, typer.Option("--log-format", help="Format of log lines.")] = LogFormat.text,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colors, as NO_COLOR does.")] = False,
    version: Annotated[  # noqa: ARG001 - acted upon before any command is looked for
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """AI workflows written in YAML, every step durable in one database."""
    if no_color:
        os.environ["NO_COLOR"] = "1"
    context.obj = Globals(config=config, quiet=quiet, log_level=log_level, log_format=log_format)


def main() -> None:
    """Run one command and exit with its status."""
    # Objects loaded at the start stay; collecting garbage among them takes a tenth of the time until a command starts.
    # Longer work enables it again, see `compozy.app`.
    gc.disable()
    # Other installed packages must not be loaded into our models.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    open_streams()
    status = run(sys.argv[1:])
    close_notes()
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 ok, 1 the run failed, 2 command line, 4 database, 5 files."""
    try:
        status = _run(arguments)
        flush_output()
    except OutputError as error:
        close_output()
        if error.reason is None:
            # The reader, `head` say, has what it wanted.
            return 0
        hint = "the run is stored: `compozy workflow list` and `get` show it"
        print_error(UsageError(f"cannot write the result to stdout: {error.reason}", hint=hint), as_json=False)
        return UsageError.exit_status
    return status


def _run(arguments: list[str]) -> int:
    if _COMPLETE in os.environ:
        # Typer knows shells only where its own options for completion are on; ours is the command `completion`.
        from typer._completion_classes import completion_init

        completion_init()
    keep_plain_values()
    command = command_tree(_named_in(arguments))
    as_json = _wants_json(arguments)
    try:
        outcome = command.main(args=hoist_globals(arguments), prog_name="compozy", standalone_mode=False)
    except CompozyError as error:
        print_error(error, as_json=as_json)
        return error.exit_status
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        return _refuse(error, as_json=as_json)
    except (KeyboardInterrupt, Abort):
        print_note("Interrupted.")
        return _INTERRUPTED
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge: no traceback reaches a user
        return _end_of_defect(error, as_json=as_json)
    return outcome if isinstance(outcome, int) else 0


@cache
def command_tree(names: frozenset[str] = frozenset()) -> Any:
    """Return the tree of all commands, or of those with these names: Typer reads the annotations of each, for 60 ms."""
    if not names:
        return typer.main.get_command(app)
    part = copy(app)
    part.registered_groups = [group for group in app.registered_groups if group.name in names]
    part.registered_commands = [command for command in app.registered_commands if command.name in names]
    return typer.main.get_command(part)


def _named_in(arguments: list[str]) -> frozenset[str]:
    """Return the commands and groups that `arguments` may name; none if that is for the shell's completion."""
    if _COMPLETE in os.environ:
        return frozenset()
    registered = [*app.registered_groups, *app.registered_commands]
    return frozenset({part.name for part in registered if part.name} & set(arguments))


def hoist_globals(arguments: list[str]) -> list[str]:
    """Return `arguments` with the options of every command in front of the command, wherever they were written."""
    hoisted: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _GLOBAL_FLAGS or (word.split("=")[0] in _GLOBAL_VALUES and "=" in word):
            hoisted.append(word)
        elif word in _GLOBAL_VALUES:
            hoisted += [word, *((value,) if (value := next(words, None)) is not None else ())]
        else:
            rest.append(word)
    return [*hoisted, *rest]


def _refuse(error: TyperException, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        # A group without a command: what is missing is what its help lists.
        print_note(context.get_help())
        return UsageError.exit_status
    command = context.command_path if context is not None else "compozy"
    message = error.format_message()
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    habits = _HABITS if command in ("compozy", "compozy workflow") else {}
    hint = next((hint for word, hint in habits.items() if f"command '{word}'" in message), "")
    # A similar name of a command that does something else only misleads.
    message, hint = (message.partition(" Did you mean")[0], hint) if hint else (message, f"see `{command} --help`")
    print_error(UsageError(message, hint=hint), as_json=as_json)
    return UsageError.exit_status


def _wants_json(arguments: list[str]) -> bool:
    if {"--format=json", "-fjson"} & set(arguments):
        return True
    pairs = itertools.pairwise(arguments)
    return any(flag in {"--format", "-f"} and value == "json" for flag, value in pairs)


def _end_of_defect(error: Exception, *, as_json: bool) -> int:
    if _is_interrupt(error):
        print_note("Interrupted.")
        return _INTERRUPTED
    print_error(_internal_error(error), as_json=as_json)
    return InternalError.exit_status


def _is_interrupt(error: BaseException) -> bool:
    """Return whether an error is Ctrl-C in disguise.

    If it comes while modules are loaded, pydantic-core raises an error whose text names it, and Python 3.11 one that it
    caused, if it was in `__set_name__`.
    """
    if isinstance(error, KeyboardInterrupt) or (
        type(error).__name__ == "SchemaError" and "KeyboardInterrupt" in str(error)
    ):
        return True
    return error.__cause__ is not None and _is_interrupt(error.__cause__)


def _internal_error(error: Exception) -> InternalError:
    if os.environ.get("COMPOZY_DEBUG"):
        import traceback

        traceback.print_exception(error)
    place = ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return InternalError(
        f"Internal error: {type(error).__name__}: {error}{place}",
        hint="this is a bug in Compozy; please report it. COMPOZY_DEBUG=1 shows the traceback",
    )
