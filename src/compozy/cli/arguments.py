"""Arguments of `workflow run`: the request, its JSON, its durations."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from compozy.clock import format_time, now_ms
from compozy.config.timespan import parse_duration_s
from compozy.database.status import Status
from compozy.errors import NotFoundError, UsageError
from compozy.jsoninput import MAX_BYTES, parse_json

# `name=Ada`: a value of the input as text, `count:=3` as JSON.
_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)(:?=)(.*)", re.DOTALL)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Options of `workflow run` and `rerun`.

    Args:
        workflow_id: what to run; "" for the workflow of the run that is repeated.
        detach: return as soon as a server has accepted the run.
        follows: print what models write as it arrives.
        repeats: the run that is repeated, None for none.
        from_task: the task of it to begin with.
        labels: labels of the run; None for none, or for those of the run that is repeated.
    """

    workflow_id: str
    given: Any
    execution_id: str | None
    timeout_s: float | None
    wait_for_lock_s: float
    quiet: bool
    as_json: bool
    repeats: str | None = None
    detach: bool = False
    follows: bool = False
    from_task: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """Options of `workflow list`; times are milliseconds since 1970 UTC."""

    limit: int
    statuses: Sequence[Status] = ()
    labels: Sequence[str] = ()
    workflow_id: str | None = None
    trigger: str | None = None
    started_by: str | None = None
    parent: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    text: str = ""
    full: bool = False

    @property
    def is_filtered(self) -> bool:
        """Return whether executions may exist that are not listed."""
        return self != ListRequest(limit=self.limit, full=self.full)

    def to_query(self) -> dict[str, str | int | list[str]]:
        """Return the parameters of the request to a server."""
        given = {
            "workflow_id": self.workflow_id,
            "trigger": self.trigger,
            "started_by": self.started_by,
            "parent": self.parent,
            "created_after": format_time(self.since_ms),
            "created_before": format_time(self.until_ms),
            "q": self.text or None,
            "fields": "full" if self.full else None,
        }
        several = {"status": [status.value for status in self.statuses], "label": list(self.labels)}
        return {"limit": self.limit, **several, **{name: value for name, value in given.items() if value is not None}}


def name_known_run(error: NotFoundError, execution_id: str) -> NotFoundError:
    """Return the error of a workflow that is gone, with the way to a run of it that is there."""
    hint = f"execution {execution_id!r} keeps its own copy: `compozy workflow get {execution_id} --wait` continues it"
    return NotFoundError(error.message, hint=hint)


def read_input(text: str | None, option: str = "--input") -> Any:
    """Return the JSON that `option` names: itself, `@FILE`, or `-` for stdin.

    A file whose name ends in `.jsonl` or `.ndjson` holds JSON Lines: `{"items": [the value of each line]}`.

    Raises:
        UsageError: the file cannot be read, is larger than 10 MiB, holds no JSON, or JSON nested over 100 levels.
    """
    if text is None:
        return None
    source, data = read_source(text, option)
    if len(data) > MAX_BYTES:
        raise UsageError(f"the input from {source} is larger than 10 MiB")
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the input from {source} is not UTF-8 text") from error
    if text.startswith("@") and text.lower().endswith(_LINES):
        return {"items": _parse_lines(source, content)}
    is_argument = text != "-" and not text.startswith("@")
    return _parse(
        source,
        content,
        quoting="" if not is_argument else f"""quote it for the shell, as in {option}='{{"name": "Ada"}}'""",
    )


def read_inputs(texts: Sequence[str] | None) -> Any:
    """Return the input of a run: one JSON document as in `read_input`, or an object of `NAME=TEXT` and `NAME:=JSON`.

    Raises:
        UsageError: the two are mixed, a name is given twice, or as in `read_input`.
    """
    given = list(texts or ())
    pairs = [_PAIR.fullmatch(text) for text in given]
    if not any(pairs):
        if len(given) > 1:
            raise UsageError("--input: several JSON documents", hint="give one, or NAME=TEXT for each value")
        return read_input(given[0] if given else None)
    values: dict[str, Any] = {}
    for text, pair in zip(given, pairs, strict=True):
        if pair is None:
            raise UsageError(f"--input: expected NAME=TEXT or NAME:=JSON, got {text!r}", hint="do not mix with JSON")
        name, sign, value = pair.groups()
        if name in values:
            raise UsageError(f"--input: {name!r} is given twice")
        values[name] = value if sign == "=" else _parse(f"--input {name}", value, hint="use NAME=TEXT for text")
    return values


def _parse_lines(source: str, content: str) -> list[Any]:
    # Only what ends a line in JSON Lines: texts may hold the other characters that Python takes for one.
    numbered = enumerate(content.split("\n"), start=1)
    hint = "in JSON Lines, every line is a separate value"
    return [_parse(f"{source}:{number}", line, hint=hint, is_line=True) for number, line in numbered if line.strip()]


def _parse(source: str, content: str, *, hint: str = "", quoting: str = "", is_line: bool = False) -> Any:
    """Parse JSON; `quoting` is the hint for text of the command line that a shell can have changed."""
    try:
        return parse_json(content)
    except ValueError as error:
        place, cause = "", error.__cause__
        if isinstance(cause, JSONDecodeError):
            place = "" if is_line else f" (line {cause.lineno}, column {cause.colno})"
            hint = hint or quoting
        raise UsageError(f"the input from {source} is not JSON: {error}{place}", hint=hint) from error


def duration_flag(flag: str, text: str) -> float:
    """Return a duration flag in seconds.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def read_moment_ms(flag: str, text: str) -> int:
    """Return a time in milliseconds since 1970 UTC: a date, RFC 3339, or how long ago it was, `7d`.

    Raises:
        UsageError: it is none of these.
    """
    expected = f"{flag}: expected a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or 7d, got {text!r}"
    if text.strip().isdigit():
        # Seconds where durations are meant, and days in the minds of many.
        raise UsageError(expected, hint="write the unit: 30d, 12h, 90s")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now_ms() - int(parse_duration_s(text) * 1000)
        except ValueError as error:
            # For any other text, the error of the duration names notations that are not expected here.
            hint = str(error) if text[:1].isdecimal() else ""
            raise UsageError(expected, hint=hint) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    moment_ms = int(moment.timestamp() * 1000)
    if moment_ms > now_ms():
        raise UsageError(f"{flag}: {text} is in the future")
    return moment_ms


def read_labels(given: Sequence[str] | None) -> dict[str, str] | None:
    """Return the labels of `--label NAME=VALUE`, None without any.

    Raises:
        UsageError: one has no value, or a name is given twice.
    """
    labels: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--label: expected NAME=VALUE, got {text!r}")
        if name in labels:
            raise UsageError(f"--label: {name!r} is given twice")
        labels[name] = value
    return labels or None


def read_statuses(given: Sequence[str]) -> tuple[Status, ...]:
    """Return states of runs, in capitals or not.

    Raises:
        UsageError: there is no such state.
    """
    unknown = [text for text in given if text.upper() not in list(Status)]
    if unknown:
        raise UsageError(f"--status: expected {', '.join(Status)}, got {unknown[0]!r}")
    return tuple(Status(text.upper()) for text in given)


def read_headers(given: Sequence[str] | None) -> dict[str, str]:
    """Return the headers that `--header NAME:VALUE` names.

    Raises:
        UsageError: one is not a header.
    """
    headers: dict[str, str] = {}
    for text in given or ():
        name, colon, value = text.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name) or not value.strip().isprintable():
            raise UsageError(f"--header: expected NAME:VALUE, got {text!r}")
        headers[name] = value.strip()
    return headers


def read_source(text: str, option: str = "--input") -> tuple[str, bytes]:
    """Return where the input comes from, and as much of it as may be accepted and one byte more."""
    if text == "-":
        return "stdin", sys.stdin.buffer.read(MAX_BYTES + 1)
    if not text.startswith("@"):
        return option, os.fsencode(text)
    path = Path(text[1:])
    try:
        with path.open("rb") as file:
            return text[1:], file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read the input file {str(path)!r}: {reason}") from error
