"""OpenID Connect: the code flow with PKCE against one provider. Needs the extra `oidc`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from compozy.auth.idtoken import SignedIn, check_claims, person_of, refused
from compozy.clock import monotonic_s, now_ms
from compozy.config.auth_sections import OidcSettings
from compozy.errors import AuthenticationError, ServerError
from compozy.outbound.rules import OutboundError, OutboundPolicy, OutboundRequest
from compozy.outbound.send import send

# Signatures with keys of the provider only: neither `none` nor keys that this server knows.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_TOTAL_S = 15.0
_MAX_BYTES = 1024 * 1024
# The metadata of the provider are believed so long; its keys are read again as soon as a token names another one,
# but not more often than this.
_METADATA_S = 3600.0
_KEYS_S = 10.0
_MAX_TOKEN = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A sign-in that was started: random values that the browser brings back."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @property
    def challenge(self) -> str:
        """The hash of the verifier, as PKCE sends it."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(kw_only=True)
class OidcProvider:
    """One provider: where its endpoints are, and its keys."""

    settings: OidcSettings
    _metadata: dict[str, Any] | None = None
    _metadata_s: float = 0.0
    _keys: KeySet | None = None
    _keys_s: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def login_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Return the URL at the provider where the user signs in.

        Raises:
            ServerError: the provider does not answer.
        """
        endpoint = self._endpoint(await self._discover(), "authorization_endpoint")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.settings.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self.settings.scopes),
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": attempt.challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def sign_in(self, attempt: Attempt, code: str, redirect_uri: str) -> SignedIn:
        """Exchange the code of an attempt, and return the person who signed in.

        Raises:
            AuthenticationError: the provider refuses the code, or its ID token is not valid.
            ForbiddenError: it does not name an email address.
            ServerError: the provider does not answer.
        """
        metadata = await self._discover()
        tokens = await self._exchange(metadata, attempt, code, redirect_uri)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str) or len(id_token) > _MAX_TOKEN:
            raise refused("the provider sent none")
        claims = await self._verify(metadata, id_token)
        check_claims(claims, self.settings, nonce=attempt.nonce, now_s=now_ms() / 1000)
        if "email" not in claims or (self.settings.roles and self.settings.roles_claim not in claims):
            claims = {**await self._user_info(metadata, tokens, claims["sub"]), **claims}
        return person_of(claims, self.settings)

    async def _exchange(
        self, metadata: Mapping[str, Any], attempt: Attempt, code: str, redirect_uri: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        secret = self.settings.client_secret
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret is not None and "client_secret_basic" in methods:
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(secret.get_secret_value(), safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self.settings.client_id
            if secret is not None:
                form["client_secret"] = secret.get_secret_value()
        url = self._endpoint(metadata, "token_endpoint")
        request = OutboundRequest(method="POST", url=url, headers=headers, body=urlencode(form).encode())
        status, document = await self._ask(request)
        if status != 200:
            reason = document.get("error")
            raise AuthenticationError(
                f"the sign-in failed: the provider refuses the code with status {status}"
                + (f" ({reason:.64})" if isinstance(reason, str) else ""),
                hint="sign in again; if it fails again, compare client ID, secret and redirect URI with the provider",
            )
        return document

    async def _verify(self, metadata: Mapping[str, Any], id_token: str) -> dict[str, Any]:
        """Return the claims of an ID token that the provider has signed."""
        try:
            return self._claims_of(id_token, await self._read_keys(metadata, renew=False))
        except (JoseError, ValueError):
            # The provider may have a new key.
            keys = await self._read_keys(metadata, renew=True)
        try:
            return self._claims_of(id_token, keys)
        except (JoseError, ValueError) as error:
            raise refused("its signature is not valid") from error

    def _claims_of(self, id_token: str, keys: KeySet) -> dict[str, Any]:
        registry = jws.JWSRegistry(algorithms=list(_ALGORITHMS))
        return dict(jwt.decode(id_token, keys, algorithms=list(_ALGORITHMS), registry=registry).claims)

    async def _user_info(self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Return further claims about the same account, none if the provider has no such endpoint."""
        token = tokens.get("access_token")
        if not isinstance(token, str) or "userinfo_endpoint" not in metadata:
            return {}
        url = self._endpoint(metadata, "userinfo_endpoint")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        status, claims = await self._ask(OutboundRequest(url=url, headers=headers))
        if status != 200 or claims.get("sub") != subject:
            return {}
        return claims

    async def _discover(self) -> dict[str, Any]:
        async with self._lock:
            if self._metadata is None or monotonic_s() - self._metadata_s > _METADATA_S:
                url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                status, metadata = await self._ask(OutboundRequest(url=url, headers={"Accept": "application/json"}))
                if status != 200:
                    raise _no_provider(f"{url} answered with status {status}")
                if metadata.get("issuer") != self.settings.issuer:
                    raise _no_provider(f"it names the issuer {metadata.get('issuer')!r:.200}")
                self._metadata, self._metadata_s = metadata, monotonic_s()
            return self._metadata

    async def _read_keys(self, metadata: Mapping[str, Any], *, renew: bool) -> KeySet:
        async with self._lock:
            is_old = monotonic_s() - self._keys_s > _KEYS_S
            if self._keys is None or (renew and is_old):
                url = self._endpoint(metadata, "jwks_uri")
                status, document = await self._ask(OutboundRequest(url=url, headers={"Accept": "application/json"}))
                try:
                    self._keys = KeySet.import_key_set(cast("Any", document))
                except (JoseError, ValueError, KeyError, TypeError) as error:
                    raise _no_provider(f"its keys cannot be read (status {status})") from error
                self._keys_s = monotonic_s()
            return self._keys

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        url = metadata.get(name)
        is_plain = self.settings.issuer.startswith("http://")
        if not isinstance(url, str) or not url.startswith(("https://", "http://") if is_plain else "https://"):
            raise _no_provider(f"it has no {name}")
        return url

    async def _ask(self, request: OutboundRequest) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of an answer. The host of the issuer was configured, so its address may be private."""
        own = (urlsplit(self.settings.issuer).hostname or "").lower()
        policy = OutboundPolicy(max_bytes=_MAX_BYTES, total_s=_TOTAL_S, private_hosts=frozenset({own}))
        try:
            answer = await send(request, policy)
            document = json.loads(answer.body)
        except OutboundError as error:
            raise _no_provider(error.message) from error
        except ValueError as error:
            raise _no_provider("its answer is not JSON") from error
        return answer.status, cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _no_provider(reason: str) -> ServerError:
    return ServerError(
        f"the OpenID Connect provider cannot be used: {reason}", hint="check `server.auth.oidc.issuer` and the provider"
    )
