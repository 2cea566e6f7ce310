"""Conversations of a document: each is stored whole, or left out if the database has a newer one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from compozy.database.memories import delete_memory
from compozy.database.tables import memories


def replace_older(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[str]]:
    """Return the conversations to store and the marks of the others; older ones of the database are deleted."""
    stored: list[Any] = []
    passed: list[str] = []
    for row in rows:
        name = (row["memory_id"], row["memory_key"])
        query = sa.select(memories.c.generation, memories.c.revision, memories.c.updated_ms).where(
            memories.c.memory_id == name[0], memories.c.memory_key == name[1]
        )
        existing = connection.execute(query).mappings().first()
        if existing is not None and not _is_older(existing, row):
            passed.append(mark_of(row))
            continue
        if existing is not None:
            delete_memory(connection, *name)
        stored.append(row)
    return stored, passed


def _is_older(existing: Mapping[str, Any] | sa.RowMapping, row: Mapping[str, Any]) -> bool:
    """Return whether a conversation of the database is older than one of the document."""
    if existing["generation"] != row["generation"]:
        # One of them was deleted and stored again; changes are counted from 0 again then.
        return bool(existing["updated_ms"] < row["updated_ms"])
    return bool((existing["revision"], existing["updated_ms"]) < (row["revision"], row["updated_ms"]))


def mark_of(row: Mapping[str, Any]) -> str:
    """Return what marks a conversation among the IDs of runs that are passed over; no run has such an ID."""
    return f"memory {len(row['memory_id'])} {row['memory_id']} {row['memory_key']}"
