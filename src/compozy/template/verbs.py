"""Formats one value for one verb of `printf`, with Go's flags, width and precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from compozy.template.literals import MAX_INT, MIN_INT, quote, to_bytes
from compozy.template.printing import show_float
from compozy.template.values import (
    INVALID,
    MAX_PRINTED_DEPTH,
    GoValue,
    LimitError,
    is_list,
    is_map,
    is_nil_collection,
    type_name,
)

NIL = "<nil>"


@dataclass(slots=True)
class Spec:
    """The flags between the `%` and the verb. `wid` and `prec` are None when not given."""

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    sharp_v: bool = False
    plus_v: bool = False
    wid: int | None = None
    prec: int | None = None

    def pad(self, text: str, *, zero: bool | None = None) -> str:
        """Return the text filled up to the width, counted in characters."""
        if self.wid is None or len(text) >= self.wid:
            return text
        if self.minus:
            return text.ljust(self.wid)
        return text.rjust(self.wid, "0" if (self.zero if zero is None else zero) else " ")


def format_argument(value: Any, verb: str, spec: Spec) -> str:
    """Return an argument of `printf` for the verb."""
    if value is None or value is INVALID:
        return spec.pad(NIL) if verb in "Tv" else _bad_verb(None, verb, spec)
    if verb == "T":
        return _format_string(type_name(value), "s", spec)
    return _format_value(value, verb, spec, 0)


def _format_value(value: Any, verb: str, spec: Spec, depth: int) -> str:
    if depth > MAX_PRINTED_DEPTH:
        raise LimitError(f"a value is nested more than {MAX_PRINTED_DEPTH} levels deep")
    if value is None or value is INVALID:
        return "interface {}(nil)" if spec.sharp_v else NIL
    if is_map(value) or is_list(value):
        return _format_collection(value, verb, spec, depth)
    if isinstance(value, GoValue):
        return _format_string(value.show(), verb, spec) if verb in "vsxXq" else _bad_verb(value, verb, spec)
    if isinstance(value, int) and type(value) is not bool and not MIN_INT <= value <= MAX_INT:
        value = float(value)
    for kind, formatter in _FORMATTERS:
        if isinstance(value, kind):
            return formatter(value, verb, spec)
    return _bad_verb(value, verb, spec)


def _bad_verb(value: Any, verb: str, spec: Spec) -> str:
    """Return the note about a verb that does not fit; the value in it keeps the flags of the verb."""
    return f"%!{verb}({NIL})" if value is None else f"%!{verb}({type_name(value)}={_format_value(value, 'v', spec, 0)})"


def _format_collection(value: dict[str, Any] | list[Any], verb: str, spec: Spec, depth: int) -> str:
    if verb == "w":
        return _bad_verb(value, verb, spec)
    if is_map(value):
        items = [
            f"{_format_value(key, verb, spec, depth + 1)}:{_format_value(value[key], verb, spec, depth + 1)}"
            for key in sorted(value)
        ]
    else:
        items = [_format_value(item, verb, spec, depth + 1) for item in value]
    if not spec.sharp_v:
        return f"{'map' if is_map(value) else ''}[{' '.join(items)}]"
    name = type_name(value)
    return f"{name}(nil)" if is_nil_collection(value) else f"{name}{{{', '.join(items)}}}"


def _format_bool(value: bool, verb: str, spec: Spec) -> str:
    return spec.pad("true" if value else "false") if verb in "tv" else _bad_verb(value, verb, spec)


# Strings


def _format_string(text: str, verb: str, spec: Spec) -> str:
    if verb == "q" or (verb == "v" and spec.sharp_v):
        return _format_quoted(text[: spec.prec], spec)
    if verb in "vs":
        return spec.pad(text[: spec.prec])
    if verb in "xX":
        return _format_bytes(to_bytes(text)[: spec.prec], verb, spec)
    return _bad_verb(text, verb, spec)


def _format_quoted(text: str, spec: Spec) -> str:
    if spec.sharp and "`" not in text and all(char == "\t" or char.isprintable() for char in text):
        return spec.pad(f"`{text}`")
    return spec.pad(quote(text, ascii_only=spec.plus))


def _format_bytes(data: bytes, verb: str, spec: Spec) -> str:
    if not data:
        return " " * (spec.wid or 0) if not spec.zero else "0" * (spec.wid or 0)
    prefix = f"0{verb}" if spec.sharp else ""
    text = " ".join(f"{prefix}{byte:02x}" for byte in data) if spec.space else prefix + data.hex()
    return spec.pad(text.upper() if verb == "X" else text)


# Whole numbers

_BASES = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES = {"b": "0b", "x": "0x", "X": "0X"}


def _format_int(value: int, verb: str, spec: Spec) -> str:
    if verb in _BASES:
        if verb == "v" and spec.sharp_v and type_name(value) == "uint8":
            return _format_digits(value, "x", replace(spec, sharp=True))
        return _format_digits(value, verb, spec)
    if verb in {"c", "q", "U"}:
        return _format_char(value, verb, spec)
    return _bad_verb(value, verb, spec)


def _format_digits(value: int, verb: str, spec: Spec) -> str:
    if spec.prec == 0 and value == 0:
        return " " * (spec.wid or 0)
    digits = format(abs(value), _BASES[verb])
    least = spec.prec or 0
    if spec.prec is None and spec.zero and not spec.minus and spec.wid is not None:
        least = spec.wid - (value < 0 or spec.plus or spec.space)
    digits = digits.rjust(least, "0")
    if spec.sharp and verb == "o" and digits[0] != "0":
        digits = "0" + digits
    prefix = _PREFIXES.get(verb, "") if spec.sharp else ""
    if verb == "O":
        prefix = "0o"
    sign = "-" if value < 0 else "+" if spec.plus else " " if spec.space else ""
    return spec.pad(sign + prefix + digits, zero=False)


def _format_char(value: int, verb: str, spec: Spec) -> str:
    code = value if 0 <= value <= 0x10FFFF else 0xFFFD
    char = "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)
    if verb == "c":
        return spec.pad(char)
    if verb == "q":
        return spec.pad(quote(char, mark="'", ascii_only=spec.plus))
    digits = f"{value & 0xFFFFFFFFFFFFFFFF:X}".rjust(max(4, spec.prec or 0), "0")
    shown = f" '{char}'" if spec.sharp and 0 <= value <= 0x10FFFF and char.isprintable() else ""
    return spec.pad(f"U+{digits}{shown}", zero=False)


# Floats and complex numbers


def _format_float(value: float, verb: str, spec: Spec) -> str:
    if verb not in "vbgGxXfFeE":
        return _bad_verb(value, verb, spec)
    text = _float_digits(value, "g" if verb == "v" else verb, spec)
    if text[0] not in "+-":
        text = "+" + text
    if spec.space and text[0] == "+" and not spec.plus:
        text = " " + text[1:]
    if not math.isfinite(value):
        plain = math.isnan(value) and not spec.space
        return spec.pad(text[1:] if not spec.plus and (plain or text[0] == "+") else text, zero=False)
    if spec.sharp and verb != "b":
        text = _keep_zeros(text, verb, spec)
    return _pad_signed(text[1:] if not spec.plus and text[0] == "+" else text, spec)


def _pad_signed(text: str, spec: Spec) -> str:
    """Return a number filled up to the width; zeros stand behind its sign."""
    if text[0] not in "+- ":
        return spec.pad(text)
    if spec.zero and not spec.minus and spec.wid is not None and spec.wid > len(text):
        return text[0] + text[1:].rjust(spec.wid - 1, "0")
    return spec.pad(text)


def _float_digits(value: float, verb: str, spec: Spec) -> str:
    if not math.isfinite(value):
        return show_float(value)
    if verb in "gG":
        text = show_float(value) if spec.prec is None else format(value, f".{spec.prec}g")
        return text.upper() if verb == "G" else text
    if verb in "xX":
        text = _hex_float(value, spec.prec)
        return text.upper() if verb == "X" else text
    if verb == "b":
        return _binary_float(value)
    return format(value, f".{6 if spec.prec is None else spec.prec}{'f' if verb == 'F' else verb}")


def _hex_float(value: float, prec: int | None) -> str:
    mantissa, exponent = math.frexp(abs(value))
    bits = int(mantissa * (1 << 53))
    shift = 52 - 4 * prec if prec is not None and prec < 13 else 0
    if shift > 0:
        rest, half = bits & ((1 << shift) - 1), 1 << (shift - 1)
        bits >>= shift
        bits += rest > half or (rest == half and bits & 1)
        bits <<= shift
    if bits >> 53:
        bits, exponent = bits >> 1, exponent + 1
    fraction = f"{bits & ((1 << 52) - 1):013x}"
    fraction = fraction.rstrip("0") if prec is None else fraction.ljust(prec, "0")[:prec]
    exponent = exponent - 1 if value else 0
    sign = "-" if math.copysign(1, value) < 0 else ""
    tail = f".{fraction}" if fraction else ""
    return f"{sign}0x{1 if value else 0}{tail}p{exponent:+03}"


def _binary_float(value: float) -> str:
    mantissa, exponent = math.frexp(abs(value))
    sign = "-" if math.copysign(1, value) < 0 else ""
    if exponent < -1021:  # Subnormal numbers have fewer digits.
        return f"{sign}{int(math.ldexp(abs(value), 1074))}p-1074"
    return f"{sign}{int(mantissa * (1 << 53))}p{exponent - 53:+}"


def _keep_zeros(text: str, verb: str, spec: Spec) -> str:
    """Return the number with its decimal point and, for `%#g`, the zeros that the precision asks for."""
    marks = "pP" if verb in "xX" else "eEpP"
    cut = next((index for index, char in enumerate(text) if char in marks and index > 1), len(text))
    digits, tail = text[:cut], text[cut:]
    wanted = 0
    if verb in "vgGx":
        wanted = 6 if spec.prec is None else spec.prec
        significant = digits[1:].replace(".", "").lstrip("0")
        wanted -= len(significant)
        if "." not in digits and digits[1:] == "0":
            wanted -= 1
    if "." not in digits:
        digits += "."
    return digits + "0" * max(wanted, 0) + tail


def _format_complex(value: complex, verb: str, spec: Spec) -> str:
    if verb not in "vbgGxXfFeE":
        return _bad_verb(value, verb, spec)
    return f"({_format_float(value.real, verb, spec)}{_format_float(value.imag, verb, replace(spec, plus=True))}i)"


_FORMATTERS: tuple[tuple[type, Callable[[Any, str, Spec], str]], ...] = (
    (bool, _format_bool),
    (str, _format_string),
    (int, _format_int),
    (float, _format_float),
    (complex, _format_complex),
)
