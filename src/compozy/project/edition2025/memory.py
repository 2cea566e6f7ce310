"""Memories in the spelling of the 2025 edition."""

from __future__ import annotations

from compozy.config.nodes import MappingNode, Node, ScalarNode, child, text_node, with_entries
from compozy.project.edition2025.notes import Notes

_IGNORED = {
    "token_provider": "tokens are estimated without a request",
    "token_allocation": "the latest turns that fit `max_tokens` are sent",
    "locking": "a transaction of the database keeps appends in order",
    "append_ttl": "a transaction of the database keeps appends in order",
    "clear_ttl": "a transaction of the database keeps appends in order",
    "flush_ttl": "a transaction of the database keeps appends in order",
    "eviction_policy": "the oldest turns are removed first; see `flushing`",
    "dynamic_ttl": "use `persistence.ttl`",
}
_OF_PERSISTENCE = {"circuit_breaker": "memories are in the database of the project"}
_OF_FLUSHING = {"threshold": "turns are removed when a limit is reached"}
_RENAMED = {"flushing_strategy": "flushing", "key": "default_key_template"}
_OTHER_STRATEGIES = frozenset({"fifo", "lru", "token_aware_lru"})
_OTHER_STORES = frozenset({"redis", "in_memory"})


def modernize_memory(node: MappingNode, notes: Notes) -> MappingNode:
    """Return a memory in today's spelling, with a warning for each key without an effect."""
    for old, new in _RENAMED.items():
        value = child(node, old)
        if value is not None and child(node, new) is None:
            node = with_entries(node, {old: None, new: value})
    node = notes.drop(node, _IGNORED)
    node = notes.drop_below(node, "persistence", _OF_PERSISTENCE)
    node = notes.drop_below(node, "flushing", _OF_FLUSHING)
    hint = "the oldest turns are removed first; use `simple_fifo` or `hybrid_summary`"
    node = _with_value(node, ("flushing", "type"), _OTHER_STRATEGIES, "simple_fifo", hint, notes)
    hint = "conversations are kept in the database of the project; use `database`"
    return _with_value(node, ("persistence", "type"), _OTHER_STORES, "database", hint, notes)


def _with_value(
    node: MappingNode, path: tuple[str, str], old: frozenset[str], new: str, hint: str, notes: Notes
) -> MappingNode:
    """Return a memory with `new` in place of one of the `old` values at `path`, and a warning for it."""
    below = child(node, path[0])
    value = child(below, path[1]) if isinstance(below, MappingNode) else None
    if not isinstance(below, MappingNode) or not isinstance(value, ScalarNode) or value.value not in old:
        return node
    notes.warn(value.place, f"`{'.'.join(path)}: {value.text}` is read as `{new}`", hint)
    changes: dict[str, Node | None] = {path[1]: text_node(new, value.place)}
    return with_entries(node, {path[0]: with_entries(below, changes)})
