"""Semantic versions and constraints on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compozy.template.functions.registry import function
from compozy.template.literals import MAX_UINT, quote
from compozy.template.values import GoError, GoValue, Uint64

_TAIL = r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?"
_VERSION = re.compile(rf"v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?{_TAIL}\Z")
_LOOSE = rf"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?{_TAIL}"
_PLAIN_LOOSE = re.sub(r"(?<!\\)\((?!\?)", "(?:", _LOOSE)
_OPERATORS = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^"
_CONSTRAINT = re.compile(rf"\s*({_OPERATORS})\s*({_LOOSE})\s*\Z")
_RANGE = re.compile(rf"\s*({_PLAIN_LOOSE})\s+-\s+({_PLAIN_LOOSE})\s*")
_FIND = re.compile(rf"(?:{_OPERATORS})\s*(?:{_PLAIN_LOOSE})")
_ONE = rf"(?:{_OPERATORS})\s*(?:{_PLAIN_LOOSE})\s*"
_VALID = re.compile(rf"\s*{_ONE}(?:(?:\s+|,\s*){_ONE})*\Z")
_MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Version(GoValue):
    """A semantic version."""

    numbers: tuple[int, int, int]
    pre: str
    metadata: str
    original: str

    go_type = "*semver.Version"
    go_kind = "ptr"

    def show(self) -> str:
        """Return `1.2.3-pre+metadata`."""
        pre = f"-{self.pre}" if self.pre else ""
        return ".".join(map(str, self.numbers)) + pre + (f"+{self.metadata}" if self.metadata else "")

    def call_method(self, name: str, args: tuple[Any, ...]) -> Any:
        """Return a part of the version, or the order of two versions."""
        plain: dict[str, Any] = {
            "Major": Uint64(self.numbers[0]),
            "Minor": Uint64(self.numbers[1]),
            "Patch": Uint64(self.numbers[2]),
            "Prerelease": self.pre,
            "Metadata": self.metadata,
            "Original": self.original,
            "String": self.show(),
        }
        if name in plain and not args:
            return plain[name]
        orders: dict[str, Callable[[int], Any]] = {
            "Compare": lambda order: order,
            "Equal": lambda order: order == 0,
            "LessThan": lambda order: order < 0,
            "GreaterThan": lambda order: order > 0,
        }
        if name in orders and len(args) == 1 and isinstance(args[0], Version):
            return orders[name](compare(self, args[0]))
        raise LookupError(name)


def read_version(text: str) -> Version:
    """Return the version that a text names; raises GoError."""
    found = _VERSION.match(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise GoError("Invalid Semantic Version")
    numbers = [int((found.group(index) or "0").lstrip(".")) for index in (1, 2, 3)]
    for number in numbers:
        if number > MAX_UINT:
            shown = f"strconv.ParseUint: parsing {quote(str(number))}: value out of range"
            raise GoError(f"Error parsing version segment: {shown}")
    pre = found.group(5) or ""
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in pre.split(".")):
        raise GoError("Version segment starts with 0")
    return Version((numbers[0], numbers[1], numbers[2]), pre, found.group(8) or "", text)


def compare(left: Version, right: Version) -> int:
    """Return -1, 0 or 1 for the order of two versions."""
    if left.numbers != right.numbers:
        return -1 if left.numbers < right.numbers else 1
    if left.pre == right.pre:
        return 0
    if not left.pre or not right.pre:
        return 1 if not left.pre else -1
    return _compare_parts(left.pre.split("."), right.pre.split("."))


def _compare_parts(left: list[str], right: list[str]) -> int:
    for mine, other in zip(left, right, strict=False):
        if mine != other:
            return -1 if _order(mine) < _order(other) else 1
    return (len(left) > len(right)) - (len(left) < len(right))


def _order(part: str) -> tuple[bool, int, str]:
    """Return what a part of a pre-release sorts by: the library puts numbers behind words, unlike the standard."""
    is_number = part.isdigit()
    return is_number, int(part) if is_number else 0, "" if is_number else part


@dataclass(frozen=True, slots=True)
class _Constraint:
    operator: str
    version: Version
    minor_open: bool
    patch_open: bool
    open: bool

    def holds(self, version: Version) -> bool:
        """Return whether a version meets the constraint."""
        if version.pre and not self.version.pre and not (self.operator == "!=" and not self.open):
            return False
        return _CHECKS[self.operator](version, self)


def _is_equal(version: Version, want: _Constraint) -> bool:
    return _is_tilde(version, want) if want.open else compare(version, want.version) == 0


def _is_other(version: Version, want: _Constraint) -> bool:
    if not want.open:
        return compare(version, want.version) != 0
    if version.numbers[0] != want.version.numbers[0]:
        return True
    if want.minor_open:
        return False
    if version.numbers[1] != want.version.numbers[1]:
        return True
    return want.patch_open and version.pre != want.version.pre


def _is_greater(version: Version, want: _Constraint) -> bool:
    if not want.open or version.numbers[0] != want.version.numbers[0]:
        return compare(version, want.version) > 0
    if want.minor_open:
        return False
    if want.patch_open:
        return version.numbers[1] > want.version.numbers[1]
    return compare(version, want.version) > 0


def _is_at_most(version: Version, want: _Constraint) -> bool:
    if not want.open:
        return compare(version, want.version) <= 0
    major, minor, _ = want.version.numbers
    if version.numbers[0] > major:
        return False
    return want.minor_open or version.numbers[0] != major or version.numbers[1] <= minor


def _is_tilde(version: Version, want: _Constraint) -> bool:
    if compare(version, want.version) < 0:
        return False
    if want.version.numbers == (0, 0, 0) and not want.minor_open and not want.patch_open:
        return True
    same_major = version.numbers[0] == want.version.numbers[0]
    return same_major and (want.minor_open or version.numbers[1] == want.version.numbers[1])


def _is_caret(version: Version, want: _Constraint) -> bool:
    if compare(version, want.version) < 0:
        return False
    major, minor, patch = want.version.numbers
    if major > 0 or want.minor_open or version.numbers[0] > 0:
        return version.numbers[0] == major
    if minor > 0 or want.patch_open or version.numbers[1] > 0:
        return version.numbers[1] == minor
    return version.numbers[2] == patch


_CHECKS: dict[str, Callable[[Version, _Constraint], bool]] = {
    "": _is_equal,
    "=": _is_equal,
    "!=": _is_other,
    ">": _is_greater,
    "<": lambda version, want: compare(version, want.version) < 0,
    ">=": lambda version, want: compare(version, want.version) >= 0,
    "=>": lambda version, want: compare(version, want.version) >= 0,
    "<=": _is_at_most,
    "=<": _is_at_most,
    "~": _is_tilde,
    "~>": _is_tilde,
    "^": _is_caret,
}


def _read_constraint(text: str) -> _Constraint:
    found = _CONSTRAINT.match(text)
    if found is None:
        raise GoError(f"improper constraint: {text}")
    operator, whole, major, minor, patch, pre = found.group(1, 2, 3, 4, 5, 6)
    pre = pre or ""
    minor_open = patch_open = False
    is_open = True
    if _is_x(major):
        whole = f"0.0.0{pre}"
    elif _is_x(minor):
        minor_open, whole = True, f"{major}.0.0{pre}"
    elif _is_x(patch):
        patch_open, whole = True, f"{major}{minor}.0{pre}"
    else:
        is_open = False
    try:
        version = read_version(whole)
    except GoError as error:
        raise GoError("constraint Parser Error") from error
    return _Constraint(operator, version, minor_open, patch_open, is_open)


def _is_x(part: str | None) -> bool:
    return not part or part.removeprefix(".") in {"", "x", "X", "*"}


def _read_constraints(text: str) -> list[list[_Constraint]]:
    """Return the constraints: one of the lists must hold as a whole."""
    if len(text) > _MAX_TEXT:
        raise GoError(f"improper constraint: {text[:_MAX_TEXT]}...")
    text = _RANGE.sub(lambda found: f">= {found.group(1)}, <= {found.group(2)}", text)
    choices: list[list[_Constraint]] = []
    for part in text.split("||"):
        if not _VALID.match(part):
            raise GoError(f"improper constraint: {part}")
        choices.append([_read_constraint(one) for one in _FIND.findall(part) or [part]])
    return choices


@function("semver", "text")
def semver(text: str) -> Version:
    """Return the version that a text names; its parts are .Major, .Minor, .Patch, .Prerelease and .Metadata."""
    return read_version(text)


@function("semverCompare", "text text")
def semver_compare(constraint: str, text: str) -> bool:
    """Return whether a version meets a constraint such as `^1.2` or `>=1.2, <3`."""
    choices = _read_constraints(constraint)
    version = read_version(text)
    return any(all(each.holds(version) for each in choice) for choice in choices)
