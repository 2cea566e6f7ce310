"""Tokens for MCP servers: OAuth 2 client credentials. A token is kept in memory only."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlencode

from compozy.clock import monotonic_s
from compozy.jsoninput import parse_json
from compozy.outbound.rules import OutboundError, OutboundPolicy, OutboundRequest, show_url
from compozy.outbound.send import send

# A token is not used in its last seconds: a call may take longer.
_MARGIN_S = 30.0
_DEFAULT_LIFE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The parameters of a token request."""

    token_url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    scope: str | None


class TokenSource:
    """Gets the tokens for one server."""

    def __init__(self, credentials: Credentials, policy: OutboundPolicy) -> None:
        self._credentials = credentials
        self._policy = policy
        self._lock = asyncio.Lock()
        self._token = ""
        self._until_s = 0.0

    async def token(self, *, refused: str = "") -> str:
        """Return a token that is valid, and not the one that a server `refused`.

        Raises:
            OutboundError: no token could be obtained.
        """
        async with self._lock:
            if self._token and self._token != refused and monotonic_s() < self._until_s:
                return self._token
            answer = await self._request()
            life_s = answer.get("expires_in", _DEFAULT_LIFE_S)
            self._token = str(answer["access_token"])
            is_number = isinstance(life_s, int | float) and not isinstance(life_s, bool)
            self._until_s = monotonic_s() + max((life_s if is_number else _DEFAULT_LIFE_S) - _MARGIN_S, 1.0)
            return self._token

    async def _request(self) -> dict[str, Any]:
        known = self._credentials
        pair = f"{quote(known.client_id, safe='')}:{quote(known.client_secret, safe='')}"
        form = {"grant_type": "client_credentials", **({"scope": known.scope} if known.scope else {})}
        request = OutboundRequest(
            method="POST",
            url=known.token_url,
            headers={
                "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            body=urlencode(form).encode(),
        )
        response = await send(request, self._policy)
        where = show_url(known.token_url)
        if response.status != 200:
            # The body may repeat the request.
            raise OutboundError(f"{where} returned no token: it answered {response.status} {response.reason}")
        try:
            answer: Any = parse_json(response.body.decode())
        except ValueError as error:
            raise OutboundError(f"{where} returned no token: its answer is not JSON") from error
        if not isinstance(answer, dict) or not cast("dict[str, Any]", answer).get("access_token"):
            raise OutboundError(f"{where} returned no token: its answer has no `access_token`")
        return cast("dict[str, Any]", answer)
