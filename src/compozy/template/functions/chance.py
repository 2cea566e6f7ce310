"""Functions whose result differs at each call: random text and numbers, ids."""

from __future__ import annotations

import base64
import string

from compozy.template.functions.registry import function
from compozy.template.functions.sources import SOURCES
from compozy.template.limits import Budget
from compozy.template.values import GoError

_PRINTABLE = "".join(map(chr, range(32, 127)))


def _pick(budget: Budget, count: int, chars: str) -> str:
    if count <= 0:
        return ""
    budget.build(count)
    return "".join(SOURCES.chance.choices(chars, k=count))


@function("randAlphaNum", "int", counted=True)
def random_alphanumeric(budget: Budget, count: int) -> str:
    """Return random letters and digits."""
    return _pick(budget, count, string.ascii_letters + string.digits)


@function("randAlpha", "int", counted=True)
def random_letters(budget: Budget, count: int) -> str:
    """Return random letters."""
    return _pick(budget, count, string.ascii_letters)


@function("randNumeric", "int", counted=True)
def random_digits(budget: Budget, count: int) -> str:
    """Return random digits."""
    return _pick(budget, count, string.digits)


@function("randAscii", "int", counted=True)
def random_ascii(budget: Budget, count: int) -> str:
    """Return random printable characters of ASCII."""
    return _pick(budget, count, _PRINTABLE)


@function("randBytes", "int", counted=True)
def random_bytes(budget: Budget, count: int) -> str:
    """Return random bytes in base64."""
    if count < 0:
        raise GoError("runtime error: makeslice: len out of range")
    budget.build(2 * count)
    return base64.b64encode(SOURCES.chance.randbytes(count)).decode()


@function("randInt", "int int")
def random_int(least: int, bound: int) -> int:
    """Return a random whole number from `least` to before `bound`."""
    if bound <= least:
        raise GoError("invalid argument to Intn")
    return SOURCES.chance.randrange(least, bound)


@function("shuffle", "text")
def shuffle(text: str) -> str:
    """Return the characters in random order."""
    chars = list(text)
    SOURCES.chance.shuffle(chars)
    return "".join(chars)


@function("uuidv4")
def new_uuid() -> str:
    """Return a new random UUID."""
    return str(SOURCES.new_uuid())
