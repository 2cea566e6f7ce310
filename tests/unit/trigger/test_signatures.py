"""Signatures of webhooks: vectors of the senders' own libraries and documentation, and requests that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.errors import AuthenticationError
from compozy.trigger.kinds.webhook import WebhookVerification
from compozy.trigger.signatures import SCHEMES, Received, Unsigned, scheme_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_bm90LXRoZS1zZWNyZXQtb2YtdGhpcw=="
NOW_MS = 1_790_000_000_000
DOCUMENT = json.loads((Path(__file__).parents[2] / "data/webhooks/vectors.json").read_text(encoding="utf-8"))
# The documentation of Slack and of GitHub.
SLACK_BODY = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
DOCUMENTED: list[dict[str, Any]] = [
    {
        "strategy": "slack",
        "secret": "8f742231b10e8888abcd99yyyzzz85a5",
        "seconds": 1_531_420_618,
        "body": SLACK_BODY,
        "headers": {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
    },
    {
        "strategy": "github",
        "secret": "It's a Secret to Everybody",
        "seconds": 1_531_420_618,
        "body": "Hello, World!",
        "headers": {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    },
]
VECTORS: list[dict[str, Any]] = [
    *({**vector, "seconds": DOCUMENT["seconds"]} for vector in DOCUMENT["vectors"]),
    *DOCUMENTED,
]
SIGNING = sorted(set(SCHEMES) - {"none"})
TIMED = ("slack", "standard", "stripe")


def verification(strategy: str, **keys: Any) -> WebhookVerification:
    more = {"header": "X-Signature", "prefix": "v="} if strategy == "hmac" else {}
    return WebhookVerification.model_validate({"strategy": strategy, "secret": SECRET, **more, **keys})


def verify(
    config: WebhookVerification, headers: dict[str, str], body: bytes, *secrets: str, now_ms: int = NOW_MS
) -> None:
    lower = {name.lower(): value for name, value in headers.items()}
    scheme_of(config).verify(config, secrets or (SECRET,), Received(headers=lower, body=body, now_ms=now_ms))


def sign(config: WebhookVerification, body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    return scheme_of(config).sign(config, secret, Unsigned(body=body, delivery_id="msg_1", now_ms=NOW_MS))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["strategy"])
def test_vectors_of_the_senders_are_accepted(vector: dict[str, Any]) -> None:
    config, body = verification(vector["strategy"]), vector["body"].encode()
    now_ms = vector["seconds"] * 1000
    verify(config, vector["headers"], body, vector["secret"], now_ms=now_ms)
    # Any other byte is not what was signed.
    with pytest.raises(AuthenticationError):
        verify(config, vector["headers"], body[:-1] + bytes([body[-1] ^ 1]), vector["secret"], now_ms=now_ms)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["strategy"])
def test_the_same_signature_is_made(vector: dict[str, Any]) -> None:
    config = verification(vector["strategy"])
    request = Unsigned(
        body=vector["body"].encode(),
        delivery_id=vector["headers"].get("webhook-id", "msg_1"),
        now_ms=vector["seconds"] * 1000,
    )
    made = scheme_of(config).sign(config, vector["secret"], request)
    assert {name.lower(): value for name, value in made.items()}.items() >= vector["headers"].items()


@pytest.mark.parametrize("strategy", SIGNING)
@given(body=st.binary(max_size=200), seconds=st.integers(min_value=-299, max_value=299))
def test_signed_requests_are_accepted(strategy: str, body: bytes, seconds: int) -> None:
    config = verification(strategy)
    verify(config, sign(config, body), body, OTHER, SECRET, now_ms=NOW_MS + seconds * 1000)


@pytest.mark.parametrize("strategy", SIGNING)
def test_other_requests_are_refused(strategy: str) -> None:
    config, body = verification(strategy), b'{"id": 1}'
    signed = sign(config, body)
    name = next(name for name in signed if "ignature" in name or name == "Authorization")
    attacks: list[dict[str, str]] = [
        {},
        {**signed, name: ""},
        {**signed, name: "\u00e9"},
        {**signed, name: signed[name][:-1]},
        {**signed, name: signed[name] + "0"},
        {**signed, name: f"{signed[name]}, {signed[name]}x" if strategy != "stripe" else f"{signed[name]},t=1"},
        sign(config, body, secret=OTHER),
        *([] if strategy == "token" else [sign(config, b'{"id":1}')]),
    ]
    for headers in attacks:
        with pytest.raises(AuthenticationError) as refused:
            verify(config, headers, body)
        assert SECRET not in refused.value.message


@pytest.mark.parametrize("strategy", TIMED)
@pytest.mark.parametrize("seconds", [-301, 301, 10**9])
def test_old_and_future_requests_are_refused(strategy: str, seconds: int) -> None:
    config = verification(strategy)
    with pytest.raises(AuthenticationError, match="more than 300 s"):
        verify(config, sign(config, b"{}"), b"{}", now_ms=NOW_MS + seconds * 1000)
    wider = verification(strategy, skew="1h")
    if abs(seconds) < 3600:
        verify(wider, sign(wider, b"{}"), b"{}", now_ms=NOW_MS + seconds * 1000)


@pytest.mark.parametrize("time", ["", "now", "-1", "1e9", "9" * 400, "\u0663"])
def test_a_time_is_a_number_of_seconds(time: str) -> None:
    config = verification("stripe")
    with pytest.raises(AuthenticationError):
        verify(config, {"stripe-signature": f"t={time},v1=00"}, b"{}")


def test_only_the_strong_signature_of_github_counts() -> None:
    config = verification("github")
    weak = verification("hmac", header="X-Hub-Signature", algorithm="sha1", prefix="sha1=")
    with pytest.raises(AuthenticationError, match="X-Hub-Signature-256"):
        verify(config, sign(weak, b"{}"), b"{}")


def test_a_rotated_secret_signs_twice() -> None:
    config = verification("standard")
    first, second = sign(config, b"{}"), sign(config, b"{}", secret=OTHER)
    both = {**first, "webhook-signature": f"v1a,AAAA {second['webhook-signature']} {first['webhook-signature']}"}
    verify(config, both, b"{}")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"strategy": "hmac", "secret": SECRET}, "needs the `header`"),
        ({"strategy": "github", "secret": SECRET, "skew": "1m"}, "`skew` belongs to"),
        ({"strategy": "none", "secret": SECRET}, "checks no secret"),
        ({"strategy": "slack"}, "needs a `secret`"),
        ({"strategy": "token", "secret": "short"}, "at least 16 characters"),
        ({"strategy": "token", "secret": []}, "at least one secret"),
    ],
)
def test_keys_that_do_not_go_together(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WebhookVerification.model_validate(keys)


def test_a_secret_of_standard_webhooks_is_base64() -> None:
    with pytest.raises(ValueError, match="Base64"):
        SCHEMES["standard"].check_secret("whsec_not base64 at all")
