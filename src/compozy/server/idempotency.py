"""The `Idempotency-Key` of requests that start a run: it becomes the execution ID, which the database keeps unique."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from compozy.errors import UsageError

MAX_KEY = 255


def id_of_key(workflow_id: str, key: str) -> str:
    """Return the ID of the one run of a workflow that this key can start.

    Raises:
        UsageError: the key is empty, too long, or contains other than printable ASCII characters.
    """
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise UsageError(f"an Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters")
    return f"key-{_hash([workflow_id, key])}"


def digest_of_body(body: dict[str, Any]) -> str:
    """Return a digest of the keys of a body that are set."""
    return _hash({name: value for name, value in body.items() if value is not None})


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
