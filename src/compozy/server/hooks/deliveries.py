"""Deliveries of webhooks: recorded with their outcome, shown, and deleted when they are old."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.clock import format_time, now_ms
from compozy.database.database import Database
from compozy.database.webhook_deliveries import (
    DeliveryFilter,
    WebhookDelivery,
    delete_deliveries,
    get_delivery,
    insert_delivery,
    list_deliveries,
    list_slugs,
)
from compozy.errors import DatabaseError, NotFoundError, UsageError
from compozy.ids import new_delivery_id
from compozy.project.masks import MASK
from compozy.server.hooks.events import visible_headers
from compozy.server.hooks.hook import Hook
from compozy.trigger.kinds.webhook import KEEP_S
from compozy.trigger.signatures import Received, scheme_of

OUTCOMES = ("accepted", "signaled", "duplicate", "no_matching_event", "refused")
# Headers that are stored with their values, besides those that the webhook names.
_STORED = frozenset(
    {
        "content-type",
        "idempotency-key",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "x-idempotency-key",
        "x-request-id",
    }
)
_NAME = re.compile(r"[a-z0-9_-]+")
_PRUNE_EVERY_S = 600.0
# Small enough that other processes waiting for the lock do not notice.
_AT_ONCE = 200
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of a delivery: the status of its answer, its event and its run."""

    outcome: str
    status: int
    event: str | None = None
    execution_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """A verified request that is stored as soon as its outcome is known."""

    hook: Hook
    received: Received
    query: Mapping[str, str]
    replay_of: str | None = None

    def store(self, connection: sa.Connection, result: Result) -> None:
        """Store it with its outcome, if the webhook keeps deliveries."""
        if self.hook.config.keep_deliveries > 0:
            insert_delivery(connection, self._row(result))

    def _row(self, result: Result) -> WebhookDelivery:
        config, body = self.hook.config, self.received.body
        named = _names_in(self.hook)
        stored = _STORED | named | {scheme_of(config.verify).delivery}
        details = {
            "reason": result.reason,
            "headers": self._masked(visible_headers(config, self.received.headers), stored),
            "query": self._masked(self.query, named),
        }
        return WebhookDelivery(
            delivery_id=new_delivery_id(),
            slug=config.slug,
            created_ms=now_ms(),
            outcome=result.outcome,
            status=result.status,
            event=result.event,
            execution_id=result.execution_id,
            replay_of=self.replay_of,
            body_sha256=hashlib.sha256(body).hexdigest(),
            body_size=len(body),
            details=details,
            body=base64.b64encode(body).decode(),
        )

    def _masked(self, values: Mapping[str, str], stored: frozenset[str]) -> dict[str, str]:
        """Return values by name; those of other names than `stored`, and the secrets of the webhook, are masked."""
        return {name: self._unsecret(value) if name.lower() in stored else MASK for name, value in values.items()}

    def _unsecret(self, value: str) -> str:
        for secret in self.hook.secrets:
            value = value.replace(secret, MASK)
        return value


def _names_in(hook: Hook) -> frozenset[str]:
    """Return every word in the events of a webhook: among them are the names of the headers that they read."""
    events = [event.model_dump(mode="json", by_alias=True) for event in hook.config.events]
    return frozenset(_NAME.findall(json.dumps([events, hook.config.dedupe.key]).lower()))


def received_again(delivery: WebhookDelivery) -> tuple[Received, dict[str, str]]:
    """Return a stored delivery as the request that it was, and its query; what was masked is left out."""
    headers, query = (
        {name: value for name, value in delivery.details[part].items() if value != MASK}
        for part in ("headers", "query")
    )
    return Received(headers=headers, body=base64.b64decode(delivery.body), now_ms=now_ms()), query


def summary_of(delivery: WebhookDelivery) -> dict[str, Any]:
    """Return a delivery as an item of a list."""
    return {
        "delivery_id": delivery.delivery_id,
        "received_at": format_time(delivery.created_ms),
        "outcome": delivery.outcome,
        "status": delivery.status,
        "reason": delivery.details["reason"],
        "event": delivery.event,
        "execution_id": delivery.execution_id,
        "replay_of": delivery.replay_of,
        "body_sha256": delivery.body_sha256,
        "body_size": delivery.body_size,
    }


def document_of(delivery: WebhookDelivery) -> dict[str, Any]:
    """Return a delivery with its headers and its body."""
    body = base64.b64decode(delivery.body).decode(errors="replace")
    return {
        **summary_of(delivery),
        "headers": delivery.details["headers"],
        "query": delivery.details["query"],
        "body": body,
    }


def page_of(connection: sa.Connection, wanted: DeliveryFilter) -> dict[str, Any]:
    """Return a page of the deliveries of a webhook, the newest first."""
    found = list_deliveries(connection, replace(wanted, limit=wanted.limit + 1))
    shown = found[: wanted.limit]
    has_more = len(found) > wanted.limit
    return {
        "deliveries": [summary_of(delivery) for delivery in shown],
        "next_cursor": shown[-1].delivery_id if has_more else None,
    }


def find_delivery(connection: sa.Connection, slug: str, delivery_id: str) -> WebhookDelivery:
    """Return one delivery of a webhook.

    Raises:
        NotFoundError: it does not exist, or was deleted.
    """
    found = get_delivery(connection, slug, delivery_id)
    if found is None:
        raise NotFoundError(
            f"delivery {delivery_id!r:.64} of webhook {slug!r} not found",
            hint=f"`compozy webhook deliveries {slug}` lists them; `keep_deliveries` limits how long they are stored",
            http_hint="see GET .../deliveries; `keep_deliveries` of the webhook limits how long they are stored",
        )
    return found


def check_outcome(outcome: str | None) -> str | None:
    """Return an outcome by which deliveries are filtered.

    Raises:
        UsageError: deliveries have no such outcome.
    """
    if outcome is not None and outcome not in OUTCOMES:
        raise UsageError(f"unknown outcome {outcome!r}", hint=f"expected {', '.join(OUTCOMES)}")
    return outcome


async def prune_until(stopping: asyncio.Event, database: Database, hooks: Mapping[str, Hook]) -> None:
    """Delete old deliveries now and again, until `stopping`."""
    while not stopping.is_set():
        try:
            await prune_old(database, hooks)
        except DatabaseError as error:
            _log.warning("old webhook deliveries were not deleted", cause=error.message)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _PRUNE_EVERY_S)


async def prune_old(database: Database, hooks: Mapping[str, Hook]) -> int:
    """Delete deliveries that are older than their webhook keeps them, and return their number.

    Raises:
        DatabaseError: the database failed.
    """
    deleted = 0
    for slug in await database.read_async(list_slugs):
        hook = hooks.get(slug)
        keep_s = KEEP_S if hook is None else hook.config.keep_deliveries
        before_ms = now_ms() - int(keep_s * 1000)
        change = partial(delete_deliveries, before_ms=before_ms, slug=slug, limit=_AT_ONCE)
        while (count := await database.write_async(change)) > 0:
            deleted += count
    return deleted
