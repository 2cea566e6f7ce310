"""The only module that creates identifiers and random numbers."""

from __future__ import annotations

import os
import random
import secrets
import string
import uuid

from compozy.clock import now_ms

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_KEY_LETTERS = string.ascii_letters + string.digits
KEY_LENGTH = 32
KEY_SIGN = "cpzy_"


def new_execution_id() -> str:
    """Return a ULID: 26 characters that sort by creation time, 80 of their 130 bits random (github.com/ulid/spec)."""
    return _encode(now_ms(), 10) + _encode(int.from_bytes(os.urandom(10), "big"), 16)


def new_signal_id() -> str:
    """Return a signal ID: a ULID, as for an execution."""
    return new_execution_id()


def new_database_id() -> str:
    """Return a database ID: a ULID, as for an execution."""
    return new_execution_id()


def new_move_id() -> str:
    """Return an ID for moving runs from one database to another: a ULID, as for an execution."""
    return new_execution_id()


def new_user_id() -> str:
    """Return a user ID: a ULID, as for an execution."""
    return new_execution_id()


def new_key_id() -> str:
    """Return the ID of an API key, which is not secret: a ULID, as for an execution."""
    return new_execution_id()


def new_audit_id() -> str:
    """Return the ID of an entry in the audit log: a ULID, as for an execution."""
    return new_execution_id()


def new_delivery_id() -> str:
    """Return the ID of a stored delivery of a webhook: a ULID, as for an execution."""
    return new_execution_id()


def new_generation_id() -> str:
    """Return the ID of a stored conversation, different after it was deleted: a ULID, as for an execution."""
    return new_execution_id()


def new_api_key() -> str:
    """Return an API key: `cpzy_` and 32 letters and digits, 190 bits random."""
    return KEY_SIGN + "".join(secrets.choice(_KEY_LETTERS) for _ in range(KEY_LENGTH))


def new_secret_token() -> str:
    """Return a random token of 256 bits for a session or a sign-in."""
    return secrets.token_urlsafe(32)


def new_salt() -> bytes:
    """Return a salt for the hash of a password."""
    return secrets.token_bytes(16)


def new_executor_id() -> str:
    """Return an ID under which this process owns runs. Never reused, so that no other process gets its lease."""
    return f"{os.getpid()}-{os.urandom(6).hex()}"


def new_token() -> str:
    """Return a token of an execution of a run: a UUID of version 4, as the engine makes them."""
    return str(uuid.uuid4())


def new_call_id() -> str:
    """Return an ID of a tool call for a server that sends none."""
    return f"call-{os.urandom(8).hex()}"


def new_process_mark() -> str:
    """Return what a process and its descendants carry in their environment, so that all of them are found."""
    return os.urandom(12).hex()


def jitter(seconds: float) -> float:
    """Return `seconds` changed by up to 20 %, so that concurrent retries spread out."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load; not a secret


def _encode(number: int, length: int) -> str:
    return "".join(_CROCKFORD[(number >> (5 * shift)) & 31] for shift in reversed(range(length)))


def random_between(low: float, high: float) -> float:
    """Return a random number between two others."""
    return random.uniform(low, high)  # noqa: S311 - chooses moments; not a secret


def random_below(count: int) -> int:
    """Return a random whole number from 0 to `count` - 1."""
    return random.randrange(count)  # noqa: S311 - chooses processes; not a secret


def seeded_chance(seed: str) -> random.Random:
    """Return random numbers that are the same for the same seed, for tests of workflows."""
    return random.Random(seed)  # noqa: S311 - nothing is protected by them


def uuid_by(chance: random.Random) -> uuid.UUID:
    """Return a UUID of version 4 from these random numbers."""
    return uuid.UUID(int=chance.getrandbits(128), version=4)
