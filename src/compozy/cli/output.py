"""Output of commands: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from compozy.errors import CompozyError, ProjectError, UsageError

_CLEAR = "\r\x1b[K"
# The line on the terminal that the next output replaces.
_transient: list[str] = []
# While a text is written piece by piece, whether the cursor stands in the middle of a line.
_text_line: list[str] = []
_OPEN = "open"
_ANY_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_ENDS = str.maketrans({"\n": "\\n", "\t": "\\t"})
_UPPER_CONTROL = re.compile(r"[\x7f-\x9f]")
_CONTROL = re.compile(r"(?!\x1b\[\d{1,2}m)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class OutputError(Exception):
    """The result cannot be written to stdout. `reason` is None if the reader closed the pipe."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


def open_streams() -> None:
    """Open closed standard streams, so that no other file takes their place, and accept every character."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
        elif number:
            stream.reconfigure(errors="backslashreplace")


def close_output() -> None:
    """Throw away what could not be written to stdout, so that not even Python's own exit tries again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def close_notes() -> None:
    """Throw away what could not be written to stderr; Python's own exit would try again, and end with 120."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def print_line(text: str = "") -> None:
    """Print one line of a result.

    Raises:
        OutputError: it cannot be written.
    """
    if _transient or _text_line:
        write_note("")
    with explain_output():
        print(_visible(text))  # noqa: T201 - stdout is what this module writes to


def flush_output() -> None:
    """Write what is still on its way to stdout.

    Raises:
        OutputError: it cannot be written.
    """
    with explain_output():
        sys.stdout.flush()


@contextmanager
def explain_output() -> Generator[None, None, None]:
    """Convert errors of writing to stdout to `OutputError`.

    Raises:
        OutputError: it cannot be written.
    """
    # Translated immediately: the command-line library ends the program at a broken pipe.
    try:
        yield
    except OSError as error:
        raise OutputError(None if isinstance(error, BrokenPipeError) else error.strerror) from error


def escape_controls(text: str) -> str:
    """Return `text` with all control characters escaped except tabs and line ends, styles too."""
    return _ANY_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def write_result(text: str) -> None:
    """Write a piece of a result to stdout immediately, with control characters escaped.

    Raises:
        OutputError: it cannot be written.
    """
    if _transient or _text_line:
        write_note("")
    with explain_output():
        sys.stdout.write(escape_controls(text))
        sys.stdout.flush()


def print_json(document: Any) -> None:
    """Print a result as one JSON document."""
    print_line(json_text(document, indent=2))


def json_text(document: Any, *, indent: int | None = None) -> str:
    """Return JSON that stdout can write: with escapes for what its encoding lacks, for halves of characters.

    Control characters are escaped too; JSON itself does so with the lower ones alone.
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    text = _UPPER_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent)
    return text


def print_note(text: str) -> None:
    """Print a note that is not part of the result."""
    write_note(f"{_visible(text)}\n")


def print_warnings(warnings: Iterable[str]) -> None:
    """Print what does not keep a command from its work."""
    for warning in warnings:
        print_note(f"warning: {warning}")


def _visible(text: str) -> str:
    """Return `text` with control characters escaped, except line ends and the styles of `paint`.

    What models, documents and files say is shown to people, and must not move their cursor or talk to their terminal.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def write_note(text: str) -> None:
    """Write to stderr, in place of a transient line. A closed stderr is not an error: the run continues."""
    end_text()
    _write_stderr(f"{clear_transient()}{text}")


def write_text(text: str, *, indent: str) -> None:
    """Write a piece of a text that a model writes to stderr; the next piece continues its line.

    All control characters are escaped, styles too: the text may come in any pieces.
    """
    shown = escape_controls(text)
    is_open = _text_line == [_OPEN]
    pieces: list[str] = []
    for number, line in enumerate(shown.split("\n")):
        pieces.append("\n" if number else "")
        is_open = is_open and not number
        if line:
            pieces.append(line if is_open else f"{indent}{line}")
            is_open = True
    _write_stderr(clear_transient() + "".join(pieces))
    _text_line[:] = [_OPEN if is_open else ""]


def end_text() -> None:
    """End the line of a text that is written piece by piece."""
    if _text_line == [_OPEN]:
        _write_stderr("\n")
    _text_line.clear()


def write_transient(text: str) -> None:
    """Write a line on the terminal that the next output replaces; not while a text is being written."""
    if _text_line:
        return
    clear_transient()
    _transient.append(text)
    _write_stderr(f"{_CLEAR}{text}")


def clear_transient() -> str:
    """Forget the transient line, and return what removes it from the terminal, "" if there is none."""
    is_shown = bool(_transient)
    _transient.clear()
    return _CLEAR if is_shown else ""


def _write_stderr(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def ask(question: str) -> bool:
    """Ask on stderr, and return whether the answer from stdin is yes."""
    write_note(f"{question} [y/N] ")
    answer = sys.stdin.readline()
    if not answer.endswith("\n") or not sys.stdin.isatty():
        # The cursor is still on the prompt's line: start a new one.
        print_note("")
    return answer.strip().lower() in {"y", "yes"}


def ask_first(question: str) -> None:
    """Ask before something is deleted.

    Raises:
        UsageError: the answer is not yes.
    """
    if not ask(question):
        raise UsageError("nothing was changed", hint="answer y or pass --yes")


def print_error(error: CompozyError, *, as_json: bool) -> None:
    """Print what went wrong and what to do about it; as JSON, a document to stdout."""
    if as_json:
        print_json({"error": _error_document(error)})
        return
    if isinstance(error, ProjectError):
        for fault in error.diagnostics:
            print_note(str(fault))
        count = len(error.diagnostics)
        print_note(f"{paint('Error:', 'red')} {count} problem{'s' if count != 1 else ''} found")
        return
    print_note(f"{paint('Error:', 'red')} {error.message}")
    if error.hint:
        print_note(f"  {error.hint}")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, without: Collection[str] = ()) -> None:
    """Print rows in columns that are as wide as their widest cell; nothing is cut, so that output can be piped.

    A row is one line, also if a file name or an error has line ends. Columns whose headings are in `without` are left
    out.
    """
    shown = [number for number, heading in enumerate(headings) if heading not in without]
    lines = [[line[number].translate(_LINE_ENDS) for number in shown] for line in (headings, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(shown))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        print_line(paint(text, "bold", stream=sys.stdout) if number == 0 else text)


def fit_cell(text: str, most: int) -> str:
    """Return `text`, or its first `most` characters if stdout is a terminal; in a pipe nothing is cut."""
    return text if len(text) <= most or not sys.stdout.isatty() else f"{text[: most - 3]}..."


def paint(text: str, style: str, *, stream: Any = None) -> str:
    """Return `text` in a style (red, green, yellow, dim, bold) where `stream`, stderr by default, is a terminal."""
    target = stream or sys.stderr
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not target.isatty():
        return text
    code = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}[style]
    return f"\x1b[{code}m{text}\x1b[0m"


def _error_document(error: CompozyError) -> dict[str, Any]:
    document = error.to_json()
    if isinstance(error, ProjectError):
        count = len(error.diagnostics)
        document["message"] = f"{count} problem{'s' if count != 1 else ''} found"
        document["details"] = {"faults": [fault_document(fault) for fault in error.diagnostics]}
    return document


def fault_document(fault: Any) -> dict[str, Any]:
    """Return a diagnostic as JSON: `{"file", "line", "col", "code", "message", "hint"}`."""
    place = fault.location
    return {
        "file": place.file,
        "line": place.line,
        "col": place.col,
        "code": fault.code,
        "message": fault.message,
        "hint": fault.hint,
    }
