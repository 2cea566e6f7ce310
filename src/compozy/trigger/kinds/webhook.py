"""`type: webhook`: starts runs from requests of other services to `/api/v0/hooks/<slug>`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from compozy.config.duration import DurationS, TimeLimitS
from compozy.config.settings import Section
from compozy.trigger.kind import TriggerBase, TriggerKind

MIN_SECRET = 16
"""Characters that a secret has at least."""
DEFAULT_RATE = 600
"""Requests per minute."""
KEEP_S = 7 * 86_400.0
"""Seconds for which deliveries are stored."""
_MAX_KEEP_S = 90 * 86_400.0
ROOTS = ("payload", "headers", "query")
"""Values that filters and templates of an event read."""
Strategy = Literal["hmac", "github", "stripe", "slack", "standard", "token", "none"]
_VARIABLE = re.compile(r"\$\{|\{\{")
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
_PATH = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,20}$"
DEFAULT_SKEW_S = 300.0
# Keys of `verify` -> the strategies that read them.
_READ_BY = {
    "header": ("hmac", "token"),
    "algorithm": ("hmac",),
    "encoding": ("hmac",),
    "prefix": ("hmac",),
    "skew": ("stripe", "slack", "standard"),
    "allow_unverified": ("none",),
}


class WebhookVerification(Section):
    """`verify:`, how a webhook recognizes its sender."""

    strategy: Strategy = Field(description="Signature scheme of the sender.")
    secret: str | tuple[str, ...] | None = Field(
        default=None,
        description=f"Secret shared with the sender, at least {MIN_SECRET} characters: `${{VAR}}` of the environment "
        "or `.env`. A list accepts several, for a rotation.",
    )
    header: str | None = Field(
        default=None,
        pattern=_HEADER,
        description="Header that holds the signature (`hmac`, required there) or the secret (`token`; default: "
        "`Authorization: Bearer SECRET`).",
    )
    algorithm: Literal["sha1", "sha256", "sha512"] = Field(
        default="sha256", description="`hmac`: hash function of the signature."
    )
    encoding: Literal["hex", "base64"] = Field(default="hex", description="`hmac`: encoding of the signature.")
    prefix: str = Field(default="", max_length=64, description="`hmac`: text before the signature, such as `sha256=`.")
    skew: TimeLimitS = Field(
        default=DEFAULT_SKEW_S,
        le=86_400,
        description="`stripe`, `slack`, `standard`: largest difference between the time of the signature and now.",
    )
    allow_unverified: bool = Field(
        default=False, description="`none`: accept requests of other machines; anyone can start runs then."
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets as they are written."""
        if self.secret is None:
            return ()
        return (self.secret,) if isinstance(self.secret, str) else self.secret

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        written = (secret,) if isinstance(secret, str) else secret
        if written is not None and not written:
            raise ValueError("expected at least one secret")
        for text in written or ():
            if not _VARIABLE.search(text) and len(text) < MIN_SECRET:
                raise ValueError(f"expected at least {MIN_SECRET} characters, or a variable such as `${{HOOK_SECRET}}`")
        return secret

    @model_validator(mode="after")
    def _check_keys(self) -> WebhookVerification:
        if self.strategy == "none":
            if self.secret is not None:
                raise ValueError("`strategy: none` checks no secret; remove `secret` or choose a strategy")
        elif self.secret is None:
            raise ValueError(f"`strategy: {self.strategy}` needs a `secret`")
        if self.strategy == "hmac" and self.header is None:
            raise ValueError("`strategy: hmac` needs the `header` of the signature")
        for key, strategies in _READ_BY.items():
            if key in self.model_fields_set and self.strategy not in strategies:
                raise ValueError(f"`{key}` belongs to `strategy: {'` or `'.join(strategies)}`")
        return self


class WebhookDedupe(Section):
    """`dedupe:`, how a webhook recognizes a delivery that it received before."""

    enabled: bool = Field(default=True, description="Whether a repeated delivery starts no second run.")
    key: str | None = Field(
        default=None,
        pattern=_PATH,
        description="Path of the ID of a delivery, such as `payload.id` or `headers.x-request-id`; a path without "
        "`payload`, `headers` or `query` is one of the payload. Default: the ID of the strategy, or "
        "`Idempotency-Key`.",
    )


class WebhookSignal(Section):
    """`signal:`, the signal that an event sends to a run instead of starting one."""

    name: str = Field(
        min_length=1,
        max_length=256,
        validation_alias=AliasChoices("name", "id"),
        description="Signal that a task waits for; a template. `id` is a synonym.",
    )
    execution: str = Field(min_length=1, description="ID of the execution; a template.")


class WebhookEvent(Section):
    """An event of a webhook: which requests it is, and the run that it starts or the signal that it sends."""

    name: str = Field(min_length=1, max_length=128, description="Name of the event.")
    filter: str = Field(
        default="",
        description="CEL condition over `payload`, `headers` (lower case) and `query`. Default: every request.",
    )
    input: dict[str, Any] | None = Field(
        default=None,
        description="Input of the run, or payload of the signal: a map of templates that read `.payload`, `.headers` "
        "and `.query`. Default: the payload.",
    )
    json_schema: dict[str, Any] | None = Field(
        default=None, alias="schema", description="JSON Schema of the input; another input is refused."
    )
    execution: str | None = Field(
        default=None,
        min_length=1,
        description="ID of the run; a template. A second run of the same ID is not started. Default: "
        "`hook-<slug>-<hash of the delivery>`.",
    )
    signal: WebhookSignal | None = Field(default=None, description="Signal to send to a run that waits for it.")

    @model_validator(mode="after")
    def _check_signal(self) -> WebhookEvent:
        if self.signal is not None and self.execution is not None:
            raise ValueError("`execution` is the ID of a run to start; with a signal, write `signal.execution`")
        return self


class WebhookConfig(Section):
    """`webhook:`, a path of the server that receives requests of another service."""

    slug: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Last part of the path `/api/v0/hooks/<slug>`, unique in the project.",
    )
    method: Literal["POST"] = Field(default="POST", description="Method of the requests.")
    verify: WebhookVerification = Field(description="How the sender is recognized.")
    dedupe: WebhookDedupe = Field(default=WebhookDedupe(), description="How a repeated delivery is recognized.")
    rate: int = Field(
        default=DEFAULT_RATE,
        ge=1,
        le=1_000_000,
        description="Largest number of requests per minute from one address, for each server process.",
    )
    keep_deliveries: DurationS = Field(
        default=KEEP_S,
        le=_MAX_KEEP_S,
        description="How long verified requests are stored, so that they can be inspected and replayed; `0s` stores "
        "none.",
    )
    events: tuple[WebhookEvent, ...] = Field(
        min_length=1, description="Events in order; the first one whose filter matches counts."
    )


class WebhookTrigger(TriggerBase):
    """Starts a run for each request of another service that is signed and matches an event."""

    type: Literal["webhook"] = Field(description="Kind of trigger.")
    webhook: WebhookConfig = Field(description="The path, the signature and the events.")


KIND = TriggerKind(
    name="webhook",
    model=WebhookTrigger,
    page="/docs/guides/receive-webhooks",
    entry="compozy.server.hooks.endpoint",
    start_check="compozy.server.hooks.hook",
    unique=("webhook", "slug"),
    noun="webhook",
    schemas=(("webhook", "events", "*", "schema"),),
    conditions=(("webhook", "events", "*", "filter"),),
    templates=tuple(("webhook", "events", "*", key) for key in ("input", "execution", "signal")),
    roots=ROOTS,
)
