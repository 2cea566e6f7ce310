"""Writes `reference/cli`: every command with its arguments and options, from the program's own help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from compozy.cli.main import command_tree
from compozy.config.layers import VARIABLES
from tests.generated.pages.markdown import code, either, front, prose

_HEAD = """
Each command prints this text with `--help` or `-h`. Results go to stdout, everything else to stderr. The exit codes
are listed in [errors](/docs/reference/errors#exit-codes).
"""

_SHARED_HEAD = """
## Options of many commands

The sections above list the options that each command supports.

"""
_GLOBAL_HEAD = """
## Options of every command

Write them before or after the command.

"""

SHARED = ("--config", "--db-driver", "--db-path", "--server", "--format", "--wait-for-lock")
"""Options that are explained once, below the commands, wherever they read the same."""

# Options with a variable, in addition to those that represent a setting.
_OPTION_VARIABLES = {"--config": "COMPOZY_CONFIG_FILE", "--server": "COMPOZY_BASE_URL", "--no-color": "NO_COLOR"}

# Typer's name for values without a name -> a readable name.
_TYPES = {"str": "TEXT", "path": "PATH", "int": "NUMBER", "int range": "NUMBER", "float range": "NUMBER"}

GUIDES = {
    "chat": "chat",
    "start": "start",
    "dev": "start#compozy-dev",
    "worker": "start#compozy-worker",
    "ui": "start#compozy-ui",
    "health": "start#compozy-health",
    "doctor": "doctor",
    "test": "test",
    "bench": "bench",
    "verify": "verify",
    "init": "config#compozy-init",
    "schema": "config#compozy-schema",
    "completion": "config#compozy-completion",
    "version": "config#compozy-version",
    "workflow": "workflow",
    "costs": "workflow#compozy-costs",
    "knowledge": "knowledge",
    "memory": "memory",
    "schedule": "schedule",
    "event": "event",
    "webhook": "webhook",
    "mcp": "mcp",
    "auth": "auth",
    "migrate": "migrate",
    "db": "db",
    "config": "config",
    "project": "config#compozy-project-upgrade",
}
"""Command -> the page that shows its use."""


def write_commands() -> str:
    """Return the page."""
    page = front("Commands", "Every compozy command with its arguments, options, values and defaults.") + _HEAD
    shared: dict[str, str] = {}
    for path, command in all_commands():
        page += _section(path, command, shared)
    page += _GLOBAL_HEAD + "".join(_line(option) for option in command_tree().params if option.opts[0] != "--config")
    return page + _SHARED_HEAD + "".join(shared[name] for name in SHARED)


def all_commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command and each group of commands with its path, in the order of the program's help."""
    yield from _below((), command_tree())


def _below(path: tuple[str, ...], group: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name), command
        yield from _below((*path, name), command)


def _section(path: tuple[str, ...], command: Any, shared: dict[str, str]) -> str:
    name = " ".join(("compozy", *path))
    level = "##" if len(path) == 1 else "###"
    guide = f" Guide: [{name}](/docs/cli/{GUIDES[path[0]]})." if len(path) == 1 else ""
    head = f"\n{level} {name}\n\n{prose(command.help)}{guide}\n"
    if hasattr(command, "commands"):
        return head
    own: list[str] = []
    others: list[str] = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        line = _line(parameter)
        if parameter.opts[0] in SHARED and shared.setdefault(parameter.opts[0], line) == line:
            others.append(parameter.opts[0])
        else:
            own.append(line)
    usage = f"\n```text\n{_usage(name, command)}\n```\n"
    named = _and([code(option) for option in SHARED if option in others]) if others else ""
    also = (
        f"\n{'Also' if own else 'Options:'} {named}, [explained below](#options-of-many-commands).\n" if others else ""
    )
    return head + usage + ("\n" + "".join(own) if own else "") + also


def _usage(name: str, command: Any) -> str:
    """Return the usage of the command without its options."""
    words = [name]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = parameter.metavar or parameter.name.upper()
            words.append(shown if parameter.required else f"[{shown}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {_value(parameter)}")
    return " ".join([*words, "[OPTIONS]"])


def _line(parameter: Any) -> str:
    """Return one entry of a list: names, value, meaning, default, variable."""
    if parameter.param_type_name == "argument":
        names = code(parameter.metavar or parameter.name.upper())
    else:
        names = ", ".join(code(name) for name in parameter.opts)
    value = _value(parameter)
    is_option = parameter.param_type_name == "option"
    facts = [code(value)] if value and is_option else [code(value)] if "|" in value else []
    if parameter.required and is_option:
        facts.append("required")
    if parameter.multiple:
        facts.append("repeatable")
    if (default := _default(parameter)) is not None:
        facts.append(f"default {code(default)}")
    if variable := _variable(parameter):
        facts.append(f"variable {code(variable)}")
    shown = f" ({'; '.join(facts)})" if facts else ""
    return f"- {names}{shown}: {prose(parameter.help)}\n"


def _value(parameter: Any) -> str:
    """Return the placeholder of an option: its name in the help, or its choices, "" for a switch."""
    if getattr(parameter, "is_flag", False):
        return ""
    shown: str = parameter.display_type_rich(typer.Context(command_tree())).strip("<>.")
    shown = _TYPES.get(shown, shown)
    limits = [
        f"{word} {bound:g}" for word, bound in (("from", parameter.min), ("to", parameter.max)) if bound is not None
    ]
    return " ".join([shown, *limits])


def _default(parameter: Any) -> str | None:
    if parameter.default in (None, False) or parameter.default == [] or not parameter.show_default:
        return None
    return str(getattr(parameter.default, "value", parameter.default))


def _variable(parameter: Any) -> str | None:
    """Return the environment variable that is equivalent to an option."""
    setting = re.search(r"instead of (\w+\.\w+)", parameter.help or "")
    if setting:
        return VARIABLES[setting[1]][0]
    return _OPTION_VARIABLES.get(parameter.opts[0])


def _and(words: list[str]) -> str:
    return either(words).replace(" or ", " and ")
