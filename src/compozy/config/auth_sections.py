"""`server.auth:`, authentication of requests: keys, OpenID Connect, and the header of a proxy."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from compozy.config.loopback import is_loopback
from compozy.config.section import Section

RoleName = Literal["admin", "user", "viewer"]
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


class OidcSettings(Section):
    """`server.auth.oidc:`, sign-in with an OpenID Connect provider."""

    issuer: str = Field(description="URL of the provider, exactly as its tokens name it.")
    client_id: str = Field(min_length=1, description="Client ID of this server at the provider.")
    client_secret: SecretStr | None = Field(
        default=None, description="Secret of the client, best as `${OIDC_SECRET}`. Default: a public client."
    )
    scopes: tuple[str, ...] = Field(
        default=("openid", "email", "profile"), description="Scopes to ask for; `openid` and `email` are needed."
    )
    roles_claim: str = Field(default="groups", min_length=1, description="Claim with the groups or roles of a user.")
    roles: dict[str, RoleName] = Field(
        default={}, description="Value of the claim -> role. Of several, the one that permits most counts."
    )
    default_role: RoleName | None = Field(
        default=None, description="Role of users without a value in `roles`. Default: they cannot sign in."
    )

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError as error:
            raise ValueError("expected a URL such as https://login.example.com") from error
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
        if not is_safe or not host or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("expected a URL such as https://login.example.com; http is for this machine only")
        return url

    @field_validator("scopes")
    @classmethod
    def _check_scopes(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("expected `openid` among the scopes")
        return scopes


class TrustedProxySettings(Section):
    """`server.auth.trusted_proxy:`, a proxy that signs users in and names them in a header."""

    header: str = Field(description="Header with the email address of the user, such as `X-Forwarded-Email`.")
    sources: tuple[str, ...] = Field(
        alias="from",
        min_length=1,
        description="Addresses of the proxy, as networks such as `10.0.0.0/8`. The header of others is ignored.",
    )
    default_role: RoleName | None = Field(
        default=None, description="Role of users that were not created before. Default: they are refused."
    )

    @field_validator("header")
    @classmethod
    def _check_header(cls, name: str) -> str:
        if not _HEADER.fullmatch(name) or name.lower() in {"authorization", "cookie", "host", "origin"}:
            raise ValueError("expected the name of a header that the proxy sets, such as X-Forwarded-Email")
        return name

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            try:
                network = ipaddress.ip_network(source)
            except ValueError as error:
                raise ValueError(f"{source!r} is not an address or a network such as 10.0.0.0/8") from error
            if network.prefixlen == 0:
                raise ValueError(f"{source!r} is every address; name those of the proxy")
        return sources


class AuthSettings(Section):
    """`server.auth:`, authentication of requests."""

    enabled: bool = Field(
        default=False,
        description="Require an API key on loopback too. Where `host` lets other machines in, it is always required.",
    )
    workflow_exceptions: tuple[str, ...] = Field(
        default=(), description="Workflows that everyone can run without a key; their runs are not shown to everyone."
    )
    oidc: OidcSettings | None = Field(
        default=None, description="Sign-in with an OpenID Connect provider; needs the extra `oidc`."
    )
    trusted_proxy: TrustedProxySettings | None = Field(
        default=None, description="A proxy that signs users in and names them in a header."
    )
