"""Asks a model provider for the list of its models, to learn whether it can be reached and accepts its API key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from compozy.model.config import ProviderConfig
from compozy.model.http import safe_url
from compozy.model.provider import base_url_of, read_key
from compozy.model.registry import PROVIDERS

_TIMEOUT_S = 10.0
_REFUSED = frozenset({401, 403})


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The answer of a provider: whether it could be asked and accepted the key, and a sentence about it."""

    is_good: bool
    words: str


def ask_provider(provider: ProviderConfig, environ: Mapping[str, str]) -> Reach | None:
    """Ask a provider for its models, which costs nothing; None if it is not a server or has no key."""
    listing, key = PROVIDERS[provider.type].listing, read_key(provider)
    address = base_url_of(provider, environ) or (listing.base_url if listing else None)
    if listing is None or address is None:
        return None
    url = address.rstrip("/") + listing.path
    try:
        with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
            status = _status_of(client, url, listing.headers(key) if key else {})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Reach(is_good=False, words=f"{safe_url(url)} cannot be reached: {_reason(error)}")
    where = f"HTTP {status} from {safe_url(url)}"
    if status in _REFUSED:
        return Reach(is_good=False, words=f"the API key is refused ({where})" if key else f"needs an API key ({where})")
    if status < 300:
        return Reach(is_good=True, words=f"{safe_url(url)} accepts the API key" if key else f"{safe_url(url)} answers")
    return Reach(is_good=False, words=f"unexpected answer ({where})")


def _status_of(client: httpx.Client, url: str, headers: Mapping[str, str]) -> int:
    # The body can be long, and is not read.
    with client.stream("GET", url, headers=headers) as response:
        return response.status_code


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {_TIMEOUT_S:g} s"
    return str(error) or type(error).__name__
