"""Which failed requests are sent again, and when: one policy for chat models and embedders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from compozy.clock import now_ms

DEFAULT_ATTEMPTS = 5
"""Tries of one request unless `max_attempts` says otherwise."""
FIRST_DELAY_S = 0.1
MAX_DELAY_S = 10.0
MAX_RETRY_AFTER_S = 60.0
"""The longest wait that a server may ask for before the request fails instead."""
# A longer wait counts as this one in messages.
_MAX_WAIT_S = 86_400.0 * 365
_RETRIED_STATUSES = frozenset({408, 409, 425, 429})


def is_retried(status: int) -> bool:
    """Return whether a request that was answered with `status` may succeed later."""
    return status in _RETRIED_STATUSES or status >= 500


def backoff_s(attempt: int) -> float:
    """Return the wait after the try number `attempt`, counted from 1, where the server asks for none."""
    return min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (attempt - 1))


def waits_too_long(retry_after_s: float | None) -> bool:
    """Return whether a server asks to wait longer than a request may."""
    return retry_after_s is not None and retry_after_s > MAX_RETRY_AFTER_S


def read_retry_after_s(headers: Mapping[str, str] | None) -> float | None:
    """Return how long `retry-after-ms` or `Retry-After` (seconds, fractions too, or a date) asks to wait, or None."""
    named = {name.lower(): value.strip() for name, value in (headers or {}).items()}
    if (seconds := _number(named.get("retry-after-ms"))) is not None:
        return seconds / 1000
    text = named.get("retry-after")
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now_ms() / 1000)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return min(number, _MAX_WAIT_S) if math.isfinite(number) and number >= 0 else None
