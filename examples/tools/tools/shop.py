"""The functions of this shop. In a real one, they would ask a database or a service."""

from __future__ import annotations

from typing import Any

ORDERS = {"17": {"item": "lamp", "price": 40.0}, "18": {"item": "chair", "price": 120.0}}


def lookup_order(number: str) -> dict[str, object]:
    """Find an order by its number.

    Args:
        number: Number of the order.
    """
    return {"number": number, **ORDERS[number]}


def refund(number: str, amount: float, ctx: Any) -> str:
    """Refund a part of an order.

    Args:
        number: Number of the order.
        amount: Amount to refund.
        ctx: What Compozy tells about the call; the model does not see it.
    """
    # A payment provider gets the key: it recognizes a call that is repeated after a crash.
    return f"refunded {amount} for order {number} (key {ctx.idempotency_key[:6]})"
