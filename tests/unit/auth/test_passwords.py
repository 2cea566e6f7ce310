"""Hashes of passwords and keys, and buckets of tokens."""

from __future__ import annotations

import pytest

from compozy.auth.keys import hash_secret, is_key, prefix_of
from compozy.auth.passwords import hash_password, is_password
from compozy.errors import RateLimitError, UsageError
from compozy.ids import new_api_key
from compozy.server import limits
from compozy.server.limits import Rate, RateLimiter


def test_a_password_has_a_hash_with_a_salt() -> None:
    stored = hash_password("correct horse battery")
    assert "correct" not in stored
    assert stored.startswith("scrypt$32768$8$1$")
    assert is_password("correct horse battery", stored)
    assert not is_password("correct horse batterx", stored)
    assert not is_password("correct horse battery", None)
    assert not is_password("", stored)


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 257])
def test_short_and_long_passwords(password: str) -> None:
    with pytest.raises(UsageError, match="12 to 256 characters") as refused:
        hash_password(password)
    assert not password or password not in str(refused.value)


def test_keys() -> None:
    keys = {new_api_key() for _ in range(100)}
    assert len({prefix_of(key) for key in keys}) == 100
    assert all(is_key(key) and len(key) == 37 and key[5:].isalnum() for key in keys)
    assert not any(is_key(text) for text in ("", "cpzy_", "cpzy_" + "x" * 31, "cpzy_" + "\xe9" * 32, "key_" + "x" * 33))
    assert len({hash_secret(key) for key in keys}) == 100


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(limits, "monotonic_s", lambda: now[0])
    limiter = RateLimiter(rate=Rate(limit=2, period_s=60), what="API key")
    limiter.take("a")
    limiter.take("a")
    limiter.take("b")
    with pytest.raises(RateLimitError, match="too many requests from this API key: the limit is 2 in 60 s") as refused:
        limiter.take("a")
    assert refused.value.retry_after_s == 30
    now[0] += 29.9
    with pytest.raises(RateLimitError):
        limiter.take("a")
    now[0] += 0.2
    limiter.take("a")
    limiter.give_back("a")
    limiter.take("a")
    now[0] += 3600
    limiter.take("a")
    limiter.take("a")
    with pytest.raises(RateLimitError):
        limiter.take("a")
