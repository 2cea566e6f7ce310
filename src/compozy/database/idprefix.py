"""Execution IDs by their first characters, as people type them. Loads no database."""

from __future__ import annotations

from collections.abc import Sequence

from compozy.errors import UsageError

MIN_PREFIX = 4
"""Characters of an ID that are needed at least: fewer are unique by chance only."""
MAX_CANDIDATES = 10
"""Executions that an error lists."""


def choose_by_prefix(prefix: str, candidates: Sequence[str]) -> str | None:
    """Return the one execution ID that starts with `prefix`, None if there is none.

    Args:
        prefix: what was typed; not itself the ID of an execution.
        candidates: execution IDs that start with it, `MAX_CANDIDATES` + 1 at most.

    Raises:
        UsageError: there are several.
    """
    matching = [candidate for candidate in candidates if candidate.startswith(prefix)]
    if len(prefix) < MIN_PREFIX or not matching:
        return None
    if len(matching) == 1:
        return matching[0]
    more = ", ..." if len(matching) > MAX_CANDIDATES else ""
    listed = ", ".join(matching[:MAX_CANDIDATES])
    raise UsageError(
        f"execution ID {prefix!r} is ambiguous: it is the start of {listed}{more}",
        hint="type more characters of the ID",
    )
