"""Signatures of webhooks: made for a test request, and checked on the bytes that were received."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compozy.errors import AuthenticationError
from compozy.trigger.kinds.webhook import WebhookVerification

_GITHUB = WebhookVerification.model_construct(
    strategy="hmac", header="X-Hub-Signature-256", algorithm="sha256", encoding="hex", prefix="sha256="
)
_STANDARD_PREFIX = "whsec_"
_SECONDS = re.compile(r"[0-9]{1,12}")
# A sender that rotates its secret signs with a few of them.
_MAX_SIGNATURES = 20


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came.

    Args:
        headers: by name in lower case; the values of a repeated header are joined with a comma.
        body: the raw bytes.
        now_ms: when it came, in milliseconds since 1970 UTC.
    """

    headers: Mapping[str, str]
    body: bytes
    now_ms: int


@dataclass(frozen=True, kw_only=True)
class Unsigned:
    """A request to be signed: its body, the ID of the delivery, and its time in milliseconds since 1970 UTC."""

    body: bytes
    delivery_id: str
    now_ms: int

    @property
    def seconds(self) -> str:
        """The time in seconds, as headers contain it."""
        return str(self.now_ms // 1000)


def _accept_secret(_: str) -> None:
    """Accept every text as a secret."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """The signature scheme of one strategy.

    Attributes:
        verify: raises AuthenticationError unless one of the secrets signed the request.
        sign: returns the headers of a request.
        check_secret: raises ValueError if a text cannot be a secret of the strategy.
        delivery: header with the ID of a delivery, in lower case, "" for none.
        delivery_path: key of the payload with the ID of a delivery, "" for none.
        signed: headers that hold the signature or a secret, in lower case.
    """

    verify: Callable[[WebhookVerification, Sequence[str], Received], None]
    sign: Callable[[WebhookVerification, str, Unsigned], dict[str, str]]
    check_secret: Callable[[str], None] = _accept_secret
    delivery: str = ""
    delivery_path: str = ""
    signed: frozenset[str] = frozenset()


def scheme_of(verification: WebhookVerification) -> Scheme:
    """Return the scheme of a strategy."""
    return SCHEMES[verification.strategy]


def secret_headers(verification: WebhookVerification) -> frozenset[str]:
    """Return the headers that hold a signature or a token, in lower case."""
    own = frozenset({verification.header.lower()}) if verification.header else frozenset[str]()
    return scheme_of(verification).signed | own


def _refused(reason: str) -> AuthenticationError:
    return AuthenticationError(
        f"the sender of this request is not verified: {reason}", hint="compare secret and strategy of both sides"
    )


def _header(received: Received, name: str) -> str:
    value = received.headers.get(name.lower(), "").strip()
    if not value:
        raise _refused(f"the header {name} is missing")
    return value


def _mac(secret: bytes, content: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, content, getattr(hashlib, algorithm)).digest()


def _require_match(given: Sequence[str], expected: Sequence[str]) -> None:
    """Refuse unless one given signature is one of those expected; each comparison takes constant time."""
    pairs = ((one, other) for one in given[:_MAX_SIGNATURES] for other in expected)
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one, other in pairs):
        raise _refused("the signature does not match")


def _check_time(verification: WebhookVerification, received: Received, seconds: str) -> None:
    """Refuse a time that is too long ago, or too far ahead."""
    if not _SECONDS.fullmatch(seconds):
        raise _refused("its time is not a number of seconds")
    if abs(received.now_ms - int(seconds) * 1000) > verification.skew * 1000:
        raise _refused(f"its time differs from that of this server by more than {verification.skew:g} s")


def _encoded(verification: WebhookVerification, secret: str, body: bytes) -> str:
    digest = _mac(secret.encode(), body, verification.algorithm)
    text = digest.hex() if verification.encoding == "hex" else base64.b64encode(digest).decode()
    return f"{verification.prefix}{text}"


def _verify_hmac(verification: WebhookVerification, secrets: Sequence[str], received: Received) -> None:
    given = _header(received, verification.header or "")
    if verification.encoding == "hex" and given.startswith(verification.prefix):
        given = verification.prefix + given.removeprefix(verification.prefix).lower()
    _require_match([given], [_encoded(verification, secret, received.body) for secret in secrets])


def _sign_hmac(verification: WebhookVerification, secret: str, request: Unsigned) -> dict[str, str]:
    signature = _encoded(verification, secret, request.body)
    return {verification.header or "": signature, "Idempotency-Key": request.delivery_id}


def _verify_github(_: WebhookVerification, secrets: Sequence[str], received: Received) -> None:
    _verify_hmac(_GITHUB, secrets, received)


def _sign_github(_: WebhookVerification, secret: str, request: Unsigned) -> dict[str, str]:
    return {
        "X-Hub-Signature-256": _encoded(_GITHUB, secret, request.body),
        "X-GitHub-Delivery": request.delivery_id,
    }


def _stripe_signature(secret: str, seconds: str, body: bytes) -> str:
    return _mac(secret.encode(), seconds.encode() + b"." + body).hex()


def _verify_stripe(verification: WebhookVerification, secrets: Sequence[str], received: Received) -> None:
    parts = [part.strip().partition("=") for part in _header(received, "Stripe-Signature").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1:
        raise _refused("the header Stripe-Signature does not have one time")
    given = [value for name, _, value in parts if name == "v1"]
    _require_match(given, [_stripe_signature(secret, times[0], received.body) for secret in secrets])
    _check_time(verification, received, times[0])


def _sign_stripe(_: WebhookVerification, secret: str, request: Unsigned) -> dict[str, str]:
    signature = _stripe_signature(secret, request.seconds, request.body)
    return {"Stripe-Signature": f"t={request.seconds},v1={signature}"}


def _slack_signature(secret: str, seconds: str, body: bytes) -> str:
    return f"v0={_mac(secret.encode(), b'v0:' + seconds.encode() + b':' + body).hex()}"


def _verify_slack(verification: WebhookVerification, secrets: Sequence[str], received: Received) -> None:
    seconds = _header(received, "X-Slack-Request-Timestamp")
    expected = [_slack_signature(secret, seconds, received.body) for secret in secrets]
    _require_match([_header(received, "X-Slack-Signature")], expected)
    _check_time(verification, received, seconds)


def _sign_slack(_: WebhookVerification, secret: str, request: Unsigned) -> dict[str, str]:
    return {
        "X-Slack-Request-Timestamp": request.seconds,
        "X-Slack-Signature": _slack_signature(secret, request.seconds, request.body),
    }


def standard_key(secret: str) -> bytes:
    """Return the key in a secret of Standard Webhooks, `whsec_` and Base64.

    Raises:
        ValueError: the text is not Base64.
    """
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("expected `whsec_` and Base64") from error


def _check_standard(secret: str) -> None:
    standard_key(secret)


def _standard_signature(secret: str, delivery_id: str, seconds: str, body: bytes) -> str:
    content = delivery_id.encode() + b"." + seconds.encode() + b"." + body
    return f"v1,{base64.b64encode(_mac(standard_key(secret), content)).decode()}"


def _verify_standard(verification: WebhookVerification, secrets: Sequence[str], received: Received) -> None:
    delivery_id, seconds = _header(received, "webhook-id"), _header(received, "webhook-timestamp")
    given = _header(received, "webhook-signature").split()
    _require_match(given, [_standard_signature(secret, delivery_id, seconds, received.body) for secret in secrets])
    _check_time(verification, received, seconds)


def sign_standard(secret: str, request: Unsigned) -> dict[str, str]:
    """Return the headers of a request of Standard Webhooks."""
    return {
        "webhook-id": request.delivery_id,
        "webhook-timestamp": request.seconds,
        "webhook-signature": _standard_signature(secret, request.delivery_id, request.seconds, request.body),
    }


def _sign_standard(_: WebhookVerification, secret: str, request: Unsigned) -> dict[str, str]:
    return sign_standard(secret, request)


def _verify_token(verification: WebhookVerification, secrets: Sequence[str], received: Received) -> None:
    if verification.header is not None:
        _require_match([_header(received, verification.header)], secrets)
        return
    scheme, _, token = _header(received, "Authorization").partition(" ")
    _require_match([token.strip()] if scheme.lower() == "bearer" else [], secrets)


def _sign_token(verification: WebhookVerification, secret: str, request: Unsigned) -> dict[str, str]:
    name, value = (
        ("Authorization", f"Bearer {secret}") if verification.header is None else (verification.header, secret)
    )
    return {name: value, "Idempotency-Key": request.delivery_id}


def _verify_none(_: WebhookVerification, __: Sequence[str], ___: Received) -> None:
    """Accept every request; where it may come from is checked by the server."""


def _sign_none(_: WebhookVerification, __: str, request: Unsigned) -> dict[str, str]:
    return {"Idempotency-Key": request.delivery_id}


SCHEMES: Mapping[str, Scheme] = {
    "hmac": Scheme(verify=_verify_hmac, sign=_sign_hmac),
    "github": Scheme(
        verify=_verify_github,
        sign=_sign_github,
        delivery="x-github-delivery",
        signed=frozenset({"x-hub-signature-256", "x-hub-signature"}),
    ),
    "stripe": Scheme(
        verify=_verify_stripe, sign=_sign_stripe, delivery_path="id", signed=frozenset({"stripe-signature"})
    ),
    "slack": Scheme(
        verify=_verify_slack, sign=_sign_slack, delivery_path="event_id", signed=frozenset({"x-slack-signature"})
    ),
    "standard": Scheme(
        verify=_verify_standard,
        sign=_sign_standard,
        check_secret=_check_standard,
        delivery="webhook-id",
        signed=frozenset({"webhook-signature"}),
    ),
    "token": Scheme(verify=_verify_token, sign=_sign_token),
    "none": Scheme(verify=_verify_none, sign=_sign_none),
}
"""The schemes by the name of the strategy."""
