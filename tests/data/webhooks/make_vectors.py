"""Writes `vectors.json`: requests signed by `standardwebhooks` 1.1.0 and `stripe` 16.1.0, the senders' own libraries.

They are not installed with the tests. To write the file again:

    python -m venv vectors && vectors/bin/pip install standardwebhooks==1.1.0 stripe==16.1.0
    vectors/bin/python tests/data/webhooks/make_vectors.py
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import stripe
from standardwebhooks.webhooks import Webhook

SECONDS = 1_790_000_000
BODIES = ('{"type":"order.created","data":{"id":7}}', '{"text":"Grüße, \U0001f600"}', "{}", "a=1&b=2")
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STRIPE = "whsec_a_secret_of_a_stripe_endpoint"


def main() -> None:
    """Write the file."""
    moment = datetime.fromtimestamp(SECONDS, UTC)
    vectors = []
    for number, body in enumerate(BODIES):
        delivery = f"msg_{number}"
        standard = {
            "webhook-id": delivery,
            "webhook-timestamp": str(SECONDS),
            "webhook-signature": Webhook(STANDARD).sign(delivery, moment, body),
        }
        vectors.append({"strategy": "standard", "secret": STANDARD, "body": body, "headers": standard})
        signature = stripe.WebhookSignature._compute_signature(f"{SECONDS}.{body}", STRIPE)
        header = f"t={SECONDS},v1={signature}"
        stripe.WebhookSignature.verify_header(body, header, STRIPE, tolerance=None)
        headers = {"stripe-signature": header}
        vectors.append({"strategy": "stripe", "secret": STRIPE, "body": body, "headers": headers})
    document = {"seconds": SECONDS, "vectors": vectors}
    file = Path(__file__).with_name("vectors.json")
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
