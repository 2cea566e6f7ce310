"""Execution IDs by their first characters, asked of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compozy.database.idprefix import MAX_CANDIDATES, MIN_PREFIX, choose_by_prefix
from compozy.errors import NotFoundError

if TYPE_CHECKING:
    from compozy.client import Client, Document


def read_execution(client: Client, text: str) -> Document:
    """Return the one execution that `text` names, in full or by the start of its ID.

    Raises:
        NotFoundError: the server has none.
        UsageError: `text` is the start of several.
    """
    try:
        return client.get("executions", "workflows", text)
    except NotFoundError:
        listed = find_execution_ids(client, text, limit=MAX_CANDIDATES + 1) if len(text) >= MIN_PREFIX else []
        found = choose_by_prefix(text, listed)
        if found is None:
            raise
    return client.get("executions", "workflows", found)


def find_execution_ids(client: Client, prefix: str, *, limit: int) -> list[str]:
    """Return the IDs of executions that start with `prefix`, the newest first."""
    listed = client.get("executions", "workflows", id_prefix=prefix, limit=limit)["executions"]
    # A server of an earlier version lists all.
    return [run["execution_id"] for run in listed if run["execution_id"].startswith(prefix)]
