"""Passwords: only an scrypt hash is stored."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

from compozy.errors import UsageError
from compozy.ids import new_salt

MIN_LENGTH = 12
MAX_LENGTH = 256
# 32 MiB and about a tenth of a second.
_N, _R, _P = 2**15, 8, 1
_MEMORY = 64 * 1024 * 1024


def hash_password(password: str) -> str:
    """Return the hash of a password with its parameters: `scrypt$N$r$p$salt$hash`.

    Raises:
        UsageError: it is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise UsageError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    salt = new_salt()
    digest = _scrypt(password, salt, _N, _R, _P)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), b64encode(salt).decode(), b64encode(digest).decode()))


def is_password(password: str, stored: str | None) -> bool:
    """Return whether a password has this hash; False, after the same time, without a hash."""
    kind, n, r, p, salt, digest = (stored or _NONE).split("$")
    if kind != "scrypt" or len(password) > MAX_LENGTH:
        return False
    computed = _scrypt(password, b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(computed, b64decode(digest)) and stored is not None


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(errors="surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY)


# Compared with the password of an unknown user.
_NONE = f"scrypt${_N}${_R}${_P}${'A' * 22}==${'A' * 86}=="
