"""An OpenID Connect provider on loopback whose answers a test can falsify."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey

Sign = Callable[["Provider", dict[str, Any]], str]


def new_key(kid: str) -> RSAKey:
    """Return a key with an ID."""
    return RSAKey.generate_key(2048, {"kid": kid}, private=True)


def sign(provider: Provider, claims: dict[str, Any]) -> str:
    """Return an ID token as it should be."""
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, provider.key)


@dataclass
class Provider:
    """The answers of the provider; a test changes them."""

    url: str = ""
    key: RSAKey = field(default_factory=lambda: new_key("first"))
    published: list[RSAKey] = field(default_factory=list[RSAKey])
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    sign: Sign = sign
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    key_requests: int = 0

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser is sent back to."""
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the answer to a code, which counts once and only with its verifier."""
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_right = (
            asked is not None and asked["code_challenge"] == challenge and asked["code_challenge_method"] == "S256"
        )
        if asked is None or not is_right or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": asked["client_id"],
            "sub": "account-7",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email": "Ana@example.com",
            "email_verified": True,
            **self.claims,
        }
        return 200, {"id_token": self.sign(self, claims), "access_token": "a", "token_type": "Bearer"}

    def answer(self, path: str) -> dict[str, Any]:
        """Return the metadata or the keys."""
        if path == "/jwks":
            self.key_requests += 1
            keys: list[Key] = [*(self.published or [self.key])]
            return dict(KeySet(keys).as_dict(private=False))
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
        }


@contextlib.contextmanager
def serve_provider() -> Generator[Provider]:
    """Serve a provider until the block ends."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.end_headers()
                return
            self._send(200, provider.answer(parts.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send(*provider.token({name: values[0] for name, values in parse_qs(body).items()}))

        def _send(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
