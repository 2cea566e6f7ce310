"""A signed request for a webhook, so that it can be tried without its sender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compozy.clock import now_ms
from compozy.errors import UsageError
from compozy.ids import new_call_id
from compozy.project.loaded import LoadedProject
from compozy.server.hooks.hook import find_hook
from compozy.trigger.signatures import Unsigned, scheme_of


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """A request as its sender would send it. `headers` can hold a secret."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def sign_request(
    project: LoadedProject, slug: str, body: bytes, *, delivery_id: str | None = None, headers: Mapping[str, str]
) -> SignedRequest:
    """Return a request for a webhook, signed with its first secret.

    Args:
        project: the project of the webhook.
        slug: the webhook.
        body: the bytes to sign, UTF-8.
        delivery_id: ID of the delivery; None makes a new one.
        headers: further headers; they replace those of the signature.

    Raises:
        NotFoundError: the project has no such webhook.
        UsageError: a secret is not set, or the body is not UTF-8.
    """
    hook = find_hook(project, slug)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise UsageError("the payload is not UTF-8") from error
    request = Unsigned(body=body, delivery_id=delivery_id or new_call_id(), now_ms=now_ms())
    secret = hook.secrets[0] if hook.secrets else ""
    signed = scheme_of(hook.config.verify).sign(hook.config.verify, secret, request)
    return SignedRequest(
        path=f"/api/v0/hooks/{slug}", headers={"Content-Type": "application/json", **signed, **headers}, body=body
    )
