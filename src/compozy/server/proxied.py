"""The user whom a trusted proxy has signed in, by the header in which it names them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from starlette.datastructures import Headers

from compozy.auth.identity import Identity, read_role
from compozy.config.auth_sections import TrustedProxySettings
from compozy.database.users import User
from compozy.errors import AuthenticationError, ForbiddenError

_CREDENTIAL = "trusted proxy"
_MAX_EMAIL = 255


def proxied_email(proxy: TrustedProxySettings | None, address: str | None, headers: Headers) -> str | None:
    """Return the address that a trusted proxy names; None if a request is not from the proxy, or names no user.

    Raises:
        AuthenticationError: the proxy names several people, or the value is not an email address.
    """
    if proxy is None or not _is_trusted(proxy.sources, address):
        return None
    values = headers.getlist(proxy.header)
    if not values or values == [""]:
        return None
    email = values[0].strip().lower()
    if len(values) > 1 or "@" not in email or "," in email or len(email) > _MAX_EMAIL or not email.isprintable():
        raise AuthenticationError(f"the header {proxy.header} is not one email address", hint="check the proxy")
    return email


def proxied_identity(proxy: TrustedProxySettings, email: str, user: User | None) -> Identity:
    """Return the identity of a person whom the proxy names.

    Raises:
        ForbiddenError: they are not a user, and others have no role.
    """
    if user is not None:
        return Identity(name=user.email, role=read_role(user.role), credential=_CREDENTIAL, user_id=user.user_id)
    if proxy.default_role is None:
        raise ForbiddenError(
            f"{email} is not a user of this server",
            hint="ask an administrator of the server to create the user",
        )
    return Identity(name=email, role=read_role(proxy.default_role), credential=_CREDENTIAL)


def _is_trusted(sources: tuple[str, ...], address: str | None) -> bool:
    if address is None:
        return False
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    return any(client.version == network.version and client in network for network in _networks(sources))


@lru_cache(maxsize=16)
def _networks(sources: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(source) for source in sources)
