"""YAML files, read safely into nodes with places; whatever is wrong in them becomes a `Diagnostic`.

Only the parser's events are used: no Python object is ever made from a tag. Limits hold for size, depth, the number of
nodes and what aliases expand to, so that no file, however made, takes much time or memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compozy.config.compose import Composer
from compozy.config.masked import MaskedText
from compozy.config.nodes import Node
from compozy.config.syntax import syntax_fault
from compozy.config.text import SourceText
from compozy.errors import Diagnostic, SourceLocation

MAX_BYTES = 10 * 1024 * 1024
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True, eq=False)
class ParsedFile:
    """The parsed file: `node` is None if it is empty or not YAML; `faults` are in the order of the file."""

    node: Node | None
    faults: tuple[Diagnostic, ...] = ()


def read_yaml(path: Path, *, file: str) -> ParsedFile:
    """Read and parse the YAML file at `path`; places call it `file`."""
    try:
        data = _read_limited(path)
    except OSError as error:
        return _failed(SourceLocation(file=file), f"cannot be read: {error.strerror or error}")
    return parse_yaml(data, file=file)


def parse_yaml(data: bytes, *, file: str, loader: Any = None, takes_number_keys: bool = False) -> ParsedFile:
    """Parse one YAML document.

    Args:
        data: the file's bytes, UTF-8 with or without a byte order mark.
        file: what places call the file.
        loader: PyYAML loader class whose parser is used; the default is the fastest available one.
        takes_number_keys: whether a key can be a number, which other programs write; it is read as text.
    """
    if len(data) > MAX_BYTES:
        return _failed(SourceLocation(file=file), f"the file is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _undecodable(data, error, file)
    source = SourceText(file=file, text=text)
    if found := _NOT_PRINTABLE.search(text):
        message = f"the character U+{ord(found[0]):04X} cannot stand in YAML"
        hint = f'in double quotes it is written "{_escape(found[0])}"'
        return _failed(source.place(found.start()), message, hint)
    return _compose(source, loader or _FAST_LOADER, takes_number_keys=takes_number_keys)


def _read_limited(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _undecodable(data: bytes, error: UnicodeDecodeError, file: str) -> ParsedFile:
    before = data[: error.start].decode("utf-8-sig", errors="replace")
    place = SourceText(file=file, text=before).place(len(before))
    return _failed(place, "the file is not UTF-8 text", "save it as UTF-8")


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"


def _compose(source: SourceText, loader: Any, *, takes_number_keys: bool) -> ParsedFile:
    masked = MaskedText(source.text)
    while True:
        events = masked.unmask(_events(masked.text, loader))
        composer = Composer(source, events, takes_number_keys=takes_number_keys)
        try:
            node = composer.compose_document()
        except yaml.MarkedYAMLError as error:
            if masked.mask_tab(error):
                continue
            return ParsedFile(node=None, faults=_with_last(composer.faults, syntax_fault(source, error)))
        except (ValueError, OverflowError):  # PyYAML's own parser, on an escape beyond the last character
            return _failed(SourceLocation(file=source.file), "an escape names a character that does not exist")
        return ParsedFile(node=node, faults=tuple(composer.faults))


def _with_last(faults: list[Diagnostic], last: Diagnostic) -> tuple[Diagnostic, ...]:
    """Add `last`, unless its line already has a diagnostic, of which it is only a consequence."""
    lines = {fault.location.line for fault in faults}
    return tuple(faults) if last.location.line in lines else (*faults, last)


def _events(text: str, loader: Any) -> Iterator[yaml.Event]:
    untyped: Any = yaml
    return untyped.parse(text, Loader=loader)


def _failed(place: SourceLocation, message: str, hint: str = "") -> ParsedFile:
    return ParsedFile(node=None, faults=(Diagnostic(location=place, message=message, hint=hint, code="yaml"),))
