"""Compares the progress of one run in a database and in a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compozy.database.status import OPEN, Status


def count_hops(run: Mapping[str, Any]) -> int:
    """Return how often a run was moved."""
    origin: dict[str, Any] = run["origin"] or {}
    return int(origin.get("hops", 0))


def has_continued(run: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Return whether a run of a database is later than in a document, whose state would repeat steps or lose the run.

    Args:
        run: the run in the document.
        old: the run in the database, in another state than MOVED.
    """
    if run["status"] == Status.MOVED:
        return old["status"] not in OPEN or count_hops(old) > count_hops(run)
    if run["status"] not in OPEN:
        return False
    if old["status"] not in OPEN:
        return True
    if count_hops(old) != count_hops(run):
        return count_hops(old) > count_hops(run)
    return not _is_copy(old) and bool(old["updated_ms"] > run["updated_ms"])


def _is_copy(old: Mapping[str, Any]) -> bool:
    """Return whether a run arrived as a copy: it may return to the state of its original."""
    return old["origin"] is not None and "move_id" not in old["origin"]
