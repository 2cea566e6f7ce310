"""ID tokens of OpenID Connect: their claims, and the user that they stand for. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from compozy.auth.identity import Role, read_role, stronger
from compozy.config.auth_sections import OidcSettings
from compozy.errors import AuthenticationError, ForbiddenError

# The clocks of both sides may differ by so many seconds.
_LEEWAY_S = 60
# A provider that names more groups than this is cut off.
_MAX_VALUES = 1000


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A person whom the provider has signed in.

    Args:
        subject: their account: the issuer and its ID of them.
        email: their email address in lower case.
        is_verified: whether the provider says that it has verified the address.
        role: their role by their claims; None if the claims say none.
    """

    subject: str
    email: str
    is_verified: bool
    role: Role | None


def check_claims(claims: Mapping[str, Any], settings: OidcSettings, *, nonce: str, now_s: float) -> None:
    """Refuse the claims of an ID token that is not for this sign-in. Its signature is checked before.

    Raises:
        AuthenticationError: says which claim is wrong.
    """
    if claims.get("iss") != settings.issuer:
        raise refused("its issuer is not the configured one")
    audiences = _texts(claims.get("aud"))
    if settings.client_id not in audiences:
        raise refused("it is for another client")
    # A token for several clients names the one that asked for it.
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != settings.client_id:
        raise refused("it was given to another client")
    if not _seconds(claims, "exp") + _LEEWAY_S > now_s:
        raise refused("it has expired")
    not_before = _seconds(claims, "nbf") if "nbf" in claims else 0
    if not _seconds(claims, "iat") - _LEEWAY_S < now_s or not not_before <= now_s + _LEEWAY_S:
        raise refused("it is from the future; compare the clocks")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise refused("it is for another sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise refused("it names no account")


def person_of(claims: Mapping[str, Any], settings: OidcSettings) -> SignedIn:
    """Return the person whom checked claims stand for.

    Raises:
        ForbiddenError: the claims lack an email address.
    """
    email = claims.get("email")
    if not isinstance(email, str) or not email:
        raise ForbiddenError(
            "the provider did not name an email address", hint="add the scope `email`, and the address at the provider"
        )
    return SignedIn(
        subject=f"{settings.issuer} {claims['sub']}",
        email=email.lower(),
        is_verified=claims.get("email_verified") is True,
        role=_role_of(claims, settings),
    )


def refused(reason: str) -> AuthenticationError:
    """Return the error of an ID token that is refused."""
    return AuthenticationError(f"the sign-in failed: the ID token is refused, {reason}", hint="sign in again")


def _role_of(claims: Mapping[str, Any], settings: OidcSettings) -> Role | None:
    found: Role | None = None
    for value in _texts(claims.get(settings.roles_claim))[:_MAX_VALUES]:
        role = read_role(settings.roles.get(value, ""))
        if role is not None:
            found = role if found is None else stronger(found, role)
    return found


def _texts(value: Any) -> list[str]:
    """Return the texts in a claim that is a text or a list."""
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refused(f"the claim {name!r} is not a number")
    return value
