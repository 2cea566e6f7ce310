"""API keys: `cpzy_` and 32 random characters, of which only a hash is stored."""

from __future__ import annotations

import hashlib

from compozy.ids import KEY_LENGTH, KEY_SIGN

_PREFIX = 12


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a random secret, as it is stored.

    A slow hash would add nothing: the secret cannot be guessed, and every request hashes it.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def prefix_of(key: str) -> str:
    """Return the part of a key by which people recognize it."""
    return key[:_PREFIX]


def is_key(text: str) -> bool:
    """Return whether a text looks like a key; others are not looked up."""
    return text.startswith(KEY_SIGN) and text.isascii() and len(text) == len(KEY_SIGN) + KEY_LENGTH
