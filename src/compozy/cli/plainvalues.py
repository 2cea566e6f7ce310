"""Values of options that need no reading, kept from Typer's readers, which load Pydantic: a third of a short command.

Typer builds a Pydantic adapter for each parameter, also for one that was not given. Texts, paths, names of
choices and defaults are what they are; everything else (numbers, mistakes) goes Typer's way, with its messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import typer
import typer.core

_READERS = "build_runtime_param"


def keep_plain_values() -> None:
    """Have Typer build a reader only for a value that needs one."""
    build = getattr(typer.core, _READERS, None)
    if build is not None and not isinstance(build, _Readers):
        setattr(typer.core, _READERS, _Readers(build))


@dataclass(frozen=True)
class _Readers:
    """Stands in for Typer's function that builds readers."""

    build: Any

    def __call__(self, descriptor: Any) -> _Reader:
        return _Reader(self.build, descriptor)


@dataclass(frozen=True)
class _Reader:
    """Reads the values of one parameter: plain ones here, the others with Typer's own reader."""

    build: Any
    descriptor: Any

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value that a command is called with."""
        if _is_list_of_texts(value, param, self.descriptor.annotation):
            return list(value or ()) or None
        is_single = not param.multiple and param.nargs == 1
        if is_single and self.descriptor.parameter_info.parser is None:
            if value is None:
                return None
            kind = self.descriptor.annotation
            if isinstance(kind, type) and type(value) is kind:
                return value
            if isinstance(kind, type) and issubclass(kind, Enum) and value in {choice.value for choice in kind}:
                return kind(value)
            if kind is Path and isinstance(value, str):
                return _read_path(value, param, ctx)
        return self.build(self.descriptor).coerce(value, param=param, ctx=ctx)


def _is_list_of_texts(value: Any, param: Any, annotation: Any) -> bool:
    """Return whether an option that may be repeated, and is None when it is not given, has texts only."""
    is_repeated = param.multiple and param.nargs == 1 and annotation in (list[str], list[str] | None)
    if not is_repeated or not isinstance(value, (list, tuple, type(None))):
        return False
    return all(isinstance(each, str) for each in cast("list[Any]", value or []))


def _read_path(text: str, param: Any, ctx: Any) -> Path:
    if not text:
        # For Python this is the current folder, which is never meant by a variable that is not set.
        raise typer.BadParameter("expected a path, got an empty text", ctx=ctx, param=param)
    return Path(text)
