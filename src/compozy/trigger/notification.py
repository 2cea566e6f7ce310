"""`on_failure:` of a workflow or a project, the webhook that is sent when a run fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field, field_validator

from compozy.config.section import Section
from compozy.errors import ToolError, UsageError
from compozy.tool.environment import fill_variables
from compozy.trigger.kinds.webhook import MIN_SECRET
from compozy.trigger.signatures import standard_key

_VARIABLE = re.compile(r"\$\{|\{\{")
_URL = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)


class OnFailure(Section):
    """`on_failure:`, the receiver of a signed webhook for each run that fails or exceeds its time limit."""

    webhook: str = Field(min_length=1, description="URL of the receiver; `${VAR}` reads the environment or `.env`.")
    secret: str | tuple[str, ...] = Field(
        description="Secret of the signature (Standard Webhooks, `whsec_` and Base64), or a list while it is rotated; "
        "`${VAR}` reads the environment or `.env`."
    )

    @field_validator("webhook")
    @classmethod
    def _check_url(cls, webhook: str) -> str:
        if not _VARIABLE.search(webhook) and not _URL.fullmatch(webhook):
            raise ValueError("expected a URL with http:// or https://, or a variable such as `${ALERT_URL}`")
        return webhook

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str | tuple[str, ...]) -> str | tuple[str, ...]:
        written = (secret,) if isinstance(secret, str) else secret
        if not written:
            raise ValueError("expected at least one secret")
        for text in written:
            if not _VARIABLE.search(text):
                _check_key(text)
        return secret


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """The receiver of notifications, with the values of its variables."""

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def receiver_of(config: OnFailure, environ: Mapping[str, str], who: str) -> Receiver:
    """Return the receiver, with the variables of the environment.

    Raises:
        UsageError: a variable is not set, or its value cannot be used.
    """
    written = (config.secret,) if isinstance(config.secret, str) else config.secret
    try:
        url = fill_variables(config.webhook, environ, who)
        secrets = tuple(fill_variables(text, environ, who) for text in written)
    except ToolError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if not _URL.fullmatch(url):
        raise UsageError(f"the `webhook` of {who} is not a URL with http:// or https://")
    for secret in secrets:
        try:
            _check_key(secret)
        except ValueError as error:
            raise UsageError(f"the `secret` of {who} cannot be used: {error}") from error
    return Receiver(url=url, secrets=secrets)


def _check_key(secret: str) -> None:
    if len(standard_key(secret)) < MIN_SECRET:
        raise ValueError(f"expected `whsec_` and Base64 of at least {MIN_SECRET} bytes")
