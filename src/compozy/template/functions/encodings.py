"""JSON, base64, base32 and hashes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

from compozy.template.functions.registry import function
from compozy.template.gojson import read_json, write_json
from compozy.template.limits import Budget
from compozy.template.literals import from_bytes, to_bytes
from compozy.template.values import GoError
from compozy.turn import current_turn

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BASE32 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_PAD = ord("=")
_LINE_ENDS = frozenset(b"\r\n")
# Larger values leave the event loop before they are parsed.
_LARGE = 50_000


@function("fromJson", "string")
def from_json(text: str) -> Any:
    """Return the value of a JSON text, null when it is none. Every number is a float."""
    _leave_if_large(text)
    try:
        return read_json(text)
    except GoError:
        return None


@function("mustFromJson", "string")
def must_from_json(text: str) -> Any:
    """Return the value of a JSON text. Every number is a float."""
    _leave_if_large(text)
    return read_json(text)


def _leave_if_large(text: str) -> None:
    if len(text) > _LARGE:
        current_turn().leave_loop()


def _write(budget: Budget, value: Any, **options: Any) -> str:
    text = write_json(value, longest=budget.limits.output, **options)
    budget.build(len(text))
    return text


@function("toJson", "any", counted=True, walks=True)
def to_json(budget: Budget, value: Any) -> str:
    """Return the value as JSON, with `<`, `>` and `&` escaped."""
    try:
        return _write(budget, value)
    except GoError:
        return ""


@function("mustToJson", "any", counted=True, walks=True)
def must_to_json(budget: Budget, value: Any) -> str:
    """Return the value as JSON, with `<`, `>` and `&` escaped."""
    return _write(budget, value)


@function("toPrettyJson", "any", counted=True, walks=True)
def to_pretty_json(budget: Budget, value: Any) -> str:
    """Return the value as JSON on several lines."""
    try:
        return _write(budget, value, indent="  ")
    except GoError:
        return ""


@function("mustToPrettyJson", "any", counted=True, walks=True)
def must_to_pretty_json(budget: Budget, value: Any) -> str:
    """Return the value as JSON on several lines."""
    return _write(budget, value, indent="  ")


@function("toRawJson mustToRawJson", "any", counted=True, walks=True)
def to_raw_json(budget: Budget, value: Any) -> str:
    """Return the value as JSON with `<`, `>` and `&` as they are."""
    return _write(budget, value, html=False)


@function("b64enc", "string", counted=True)
def encode_base64(budget: Budget, text: str) -> str:
    """Return the text in base64."""
    budget.build(2 * len(text))
    return base64.b64encode(to_bytes(text)).decode()


@function("b64dec", "text")
def decode_base64(text: str) -> str:
    """Return the text of a base64 text; a message when it is none."""
    data = to_bytes(text)
    fault = _fault_base64(data)
    if fault >= 0:
        return f"illegal base64 data at input byte {fault}"
    return from_bytes(base64.b64decode(bytes(byte for byte in data if byte not in _LINE_ENDS)))


def _fault_base64(data: bytes) -> int:
    """Return where the data is not base64 as Go reports it, -1 when it is."""
    count = 0
    for index, byte in enumerate(data):
        if byte in _LINE_ENDS:
            continue
        if byte in _BASE64:
            count += 1
        elif byte != _PAD or count % 4 < 2:
            return index
        else:
            return _fault_padding(data, index, single=count % 4 == 3)
    return -1 if count % 4 == 0 else len(data) - count % 4


def _fault_padding(data: bytes, index: int, *, single: bool) -> int:
    """Return what is wrong from the first `=` on."""
    index = _skip_line_ends(data, index + 1)
    if not single:
        if index == len(data):
            return len(data)
        if data[index] != _PAD:
            return index - 1
        index = _skip_line_ends(data, index + 1)
    return index if index < len(data) else -1


def _skip_line_ends(data: bytes, index: int) -> int:
    while index < len(data) and data[index] in _LINE_ENDS:
        index += 1
    return index


@function("b32enc", "string", counted=True)
def encode_base32(budget: Budget, text: str) -> str:
    """Return the text in base32."""
    budget.build(2 * len(text))
    return base64.b32encode(to_bytes(text)).decode()


@function("b32dec", "text")
def decode_base32(text: str) -> str:
    """Return the text of a base32 text; a message when it is none."""
    data = bytes(byte for byte in to_bytes(text) if byte not in _LINE_ENDS)
    fault = _fault_base32(data)
    return f"illegal base32 data at input byte {fault}" if fault >= 0 else from_bytes(base64.b32decode(data))


def _fault_base32(data: bytes) -> int:
    """Return where the data is not base32 as Go reports it, -1 when it is."""
    size = len(data)
    for index, byte in enumerate(data):
        column, left = index % 8, size - index - 1
        if byte == _PAD and column >= 2 and left < 8:
            return _fault_padding32(data, index, column)
        if byte not in _BASE32:
            return index
    return -1 if size % 8 == 0 else size - size % 8


def _fault_padding32(data: bytes, index: int, column: int) -> int:
    rest = data[index + 1 :]
    if len(rest) + column < 7:
        return len(data)
    for offset in range(7 - column):
        if len(rest) > offset and rest[offset] != _PAD:
            return len(data) - len(rest) + offset - 1
    return index if column in {1, 3, 6} else -1


@function("sha1sum", "string")
def sha1(text: str) -> str:
    """Return the SHA-1 hash in hexadecimal digits."""
    return hashlib.sha1(to_bytes(text), usedforsecurity=False).hexdigest()


@function("sha256sum", "string")
def sha256(text: str) -> str:
    """Return the SHA-256 hash in hexadecimal digits."""
    return hashlib.sha256(to_bytes(text)).hexdigest()


@function("adler32sum", "string")
def adler32(text: str) -> str:
    """Return the Adler-32 checksum as a decimal number."""
    return str(zlib.adler32(to_bytes(text)))
