"""Limits of requests to hosts that data names. Loads no HTTP library."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""
PORTS = {"http": 80, "https": 443}
"""Schemes and their ports."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# They say where a request ends, or to whom it goes.
_RESERVED = frozenset(
    {"host", "connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HOST = re.compile(r"(\*\.)?[\w-]{1,63}(\.[\w-]{1,63})*(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutboundError(Exception):
    """A request failed or was refused.

    Attributes:
        message: what went wrong, without secrets: a URL is shown without its query.
        is_sent: whether a server may have received the request.
        is_private: whether the host has an address outside the public network.
    """

    def __init__(self, message: str, *, is_sent: bool = False, is_private: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_sent = is_sent
        self.is_private = is_private


@dataclass(frozen=True, kw_only=True)
class OutboundRequest:
    """A request. `url` and `headers` can hold secrets."""

    method: str = "GET"
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class OutboundPolicy:
    """The hosts that a request can reach, and the limits of its answer.

    Attributes:
        max_bytes: size of an answer after decompression.
        total_s: time limit of a request with its redirects.
        private_hosts: hosts whose addresses can be private, in lower case.
        hosts: hosts of the request and its redirects, as in `is_listed`; None for all.
        cuts: whether a larger answer is cut off; else it is an error.
    """

    max_bytes: int
    total_s: float = 120.0
    private_hosts: frozenset[str] = frozenset()
    hosts: Sequence[str] | None = None
    cuts: bool = False


@dataclass(frozen=True, kw_only=True)
class OutboundResponse:
    """An answer that is not a redirect. Names of headers are in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool
    url: str


def is_listed(hosts: Sequence[str], host: str, port: int | None, *, scheme: str) -> bool:
    """Return whether a host is one of `hosts`.

    An entry is a host, `*.` and a domain for every host below it, or one of them with a port. Without a port it stands
    for the ports 80 of http and 443 of https.
    """
    wanted = port or PORTS[scheme]
    for entry in hosts:
        parts = urlsplit(f"//{entry}")
        name = (parts.hostname or "").encode("idna").decode("ascii").lower()
        fits = host.endswith(name[1:]) if name.startswith("*.") else host == name
        if fits and wanted == (parts.port or PORTS[scheme]):
            return True
    return False


def is_host(entry: str) -> bool:
    """Return whether a text can be an entry of a list of hosts."""
    return _HOST.fullmatch(entry) is not None


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public network, also when it wraps another one."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def header_problem(name: str, value: str) -> str:
    """Return why a header cannot be sent, "" if it can; the value is not part of the text."""
    if not _HEADER_NAME.fullmatch(name):
        return f"{name!r:.100} is not the name of a header"
    if name.lower() in _RESERVED or name.lower().startswith("proxy-"):
        return f"the header {name} cannot be set"
    if not _HEADER_VALUE.fullmatch(value):
        return f"the header {name} holds a line break or a character that is not ASCII"
    return ""


def show_url(url: str) -> str:
    """Return a URL without a user, a password or a query, which can hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = f"{parts.scheme}://{bracketed(parts.hostname or '')}{port}"
        # Never a part of a path: a secret in it could no longer be masked.
        return host[:200] + (parts.path if len(parts.path) <= 200 else "/...")
    except ValueError:
        return "the URL"


def bracketed(host: str) -> str:
    """Return a host as it is written in a URL: addresses of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
