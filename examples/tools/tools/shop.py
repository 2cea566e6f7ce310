"""The functions of this shop. In a real one, they would ask a database or a service."""

from __future__ import annotations

ORDERS = {"17": {"item": "lamp", "price": 40.0}, "18": {"item": "chair", "price": 120.0}}


def lookup_order(number: str) -> dict[str, object]:
    """Find an order by its number.

    Args:
        number: Number of the order.
    """
    return {"number": number, **ORDERS[number]}


def refund(number: str, amount: float, ctx) -> str:  # noqa: ANN001
    """Refund a part of an order.

    Args:
        number: Number of the order.
        amount: Amount to refund.
    """
    # A payment provider gets the key: it recognizes a call that is repeated after a crash.
    return f"refunded {amount} for order {number} (key {ctx.idempotency_key[:6]})"
