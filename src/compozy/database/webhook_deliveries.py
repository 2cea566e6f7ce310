"""Rows of `webhook_deliveries`: verified requests to webhooks, and their outcomes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from compozy.database.tables import webhook_deliveries as deliveries


@dataclass(frozen=True, kw_only=True)
class WebhookDelivery:
    """One verified request.

    Args:
        delivery_id: a ULID; IDs sort by time.
        slug: the webhook.
        created_ms: when it came, in milliseconds since 1970 UTC.
        outcome: `accepted`, `signaled`, `duplicate`, `no_matching_event` or `refused`.
        status: HTTP status of the answer.
        event: its event, None if it matches none.
        execution_id: the run that it started, or that got a signal.
        replay_of: the delivery that it repeats, None for a request of the sender.
        body_sha256: hash of the body, as hexadecimal digits.
        body_size: bytes of the body.
        details: `reason`, `sender_id`, `headers` and `query`.
        body: the body in Base64.
    """

    delivery_id: str
    slug: str
    created_ms: int
    outcome: str
    status: int
    event: str | None = None
    execution_id: str | None = None
    replay_of: str | None = None
    body_sha256: str
    body_size: int
    details: dict[str, Any]
    body: str


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """The deliveries of a webhook to list; `before` is the ID of the last one of the previous page."""

    slug: str
    limit: int
    before: str | None = None
    outcome: str | None = None


def insert_delivery(connection: sa.Connection, delivery: WebhookDelivery) -> None:
    """Store a delivery."""
    connection.execute(sa.insert(deliveries), asdict(delivery))


def list_deliveries(connection: sa.Connection, wanted: DeliveryFilter) -> list[WebhookDelivery]:
    """Return deliveries without their bodies, the newest first."""
    columns = [deliveries.c[field.name] for field in fields(WebhookDelivery) if field.name != "body"]
    query = (
        sa.select(*columns)
        .where(deliveries.c.slug == wanted.slug)
        .order_by(deliveries.c.delivery_id.desc())
        .limit(wanted.limit)
    )
    if wanted.before is not None:
        query = query.where(deliveries.c.delivery_id < wanted.before)
    if wanted.outcome is not None:
        query = query.where(deliveries.c.outcome == wanted.outcome)
    return [WebhookDelivery(**row, body="") for row in connection.execute(query).mappings()]


def get_delivery(connection: sa.Connection, slug: str, delivery_id: str) -> WebhookDelivery | None:
    """Return one delivery of a webhook, None if it does not exist."""
    query = sa.select(deliveries).where(deliveries.c.delivery_id == delivery_id, deliveries.c.slug == slug)
    row = connection.execute(query).mappings().first()
    return None if row is None else WebhookDelivery(**row)


def list_slugs(connection: sa.Connection) -> list[str]:
    """Return the webhooks with deliveries."""
    return list(connection.execute(sa.select(deliveries.c.slug).distinct()).scalars())


def count_deliveries(connection: sa.Connection, before_ms: int) -> int:
    """Return the number of deliveries that came before a time."""
    query = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.created_ms < before_ms)
    return int(connection.execute(query).scalar_one())


def delete_deliveries(connection: sa.Connection, before_ms: int, *, slug: str | None = None, limit: int) -> int:
    """Delete up to `limit` deliveries that came before a time, of one webhook or of all; return their number.

    Deliveries that another process deletes at this moment are skipped.
    """
    old = sa.select(deliveries.c.delivery_id).where(deliveries.c.created_ms < before_ms).limit(limit)
    if slug is not None:
        old = old.where(deliveries.c.slug == slug)
    ids = list(connection.execute(old.with_for_update(skip_locked=True)).scalars())
    connection.execute(sa.delete(deliveries).where(deliveries.c.delivery_id.in_(ids)))
    return len(ids)
