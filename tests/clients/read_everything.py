"""Calls operations with the generated Python client, and compares its models with the answers.

    python read_everything.py URL KEY < calls.json

It runs in the environment and the folder of the client. Each call is `[module, operation, arguments]`. It prints one
JSON object with the status of each operation, and the operations whose models do not contain what the server sent.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> None:
    """Make all calls."""
    package: Any = importlib.import_module("compozy_client")
    client = package.AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], timeout=60)
    statuses: dict[str, int] = {}
    different: dict[str, Any] = {}
    for module, name, arguments in json.load(sys.stdin):
        operation: Any = importlib.import_module(f"compozy_client.api.{module}.{name}")
        answer = operation.sync_detailed(client=client, **arguments)
        statuses[name] = answer.status_code.value
        sent = json.loads(answer.content)
        read = None if answer.parsed is None else answer.parsed.to_dict()
        if read != sent:
            different[name] = {"sent": sent, "read": read}
    json.dump({"statuses": statuses, "different": different}, sys.stdout)


if __name__ == "__main__":
    main()
