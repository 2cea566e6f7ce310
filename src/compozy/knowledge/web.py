"""Documents at URLs, requested so that no document makes Compozy look into the network of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from compozy.errors import DocumentError
from compozy.outbound.rules import (
    OutboundError,
    OutboundPolicy,
    OutboundRequest,
    show_url,
)
from compozy.outbound.send import Resolve, resolve_host, send

_TOTAL_S = 120.0
_ACCEPTED = "text/markdown, text/html, text/plain, application/pdf, application/json, text/csv, */*;q=0.1"


@dataclass(frozen=True, kw_only=True)
class WebDocument:
    """The content at a URL: its bytes and their media type."""

    data: bytes
    media_type: str


@dataclass(frozen=True, kw_only=True)
class WebPolicy:
    """The hosts that can be requested: `private_hosts` are names whose addresses can be private."""

    max_bytes: int
    private_hosts: frozenset[str] = frozenset()


async def fetch(url: str, policy: WebPolicy, *, resolve: Resolve = resolve_host) -> WebDocument:
    """Return the document at a URL, after its redirects.

    Raises:
        DocumentError: its host is not allowed or does not answer, or the document is too large or does not exist.
    """
    request = OutboundRequest(url=url, headers={"Accept": _ACCEPTED})
    limits = OutboundPolicy(max_bytes=policy.max_bytes, total_s=_TOTAL_S, private_hosts=policy.private_hosts)
    try:
        answer = await send(request, limits, resolve=resolve)
    except OutboundError as error:
        hint = "name the host in `knowledge.access.private_hosts` if that is meant" if error.is_private else ""
        raise DocumentError(error.message, hint=hint) from error
    if answer.status != 200:
        raise DocumentError(f"{show_url(answer.url)} answered {answer.status}")
    return WebDocument(data=answer.body, media_type=answer.headers.get("content-type", ""))
