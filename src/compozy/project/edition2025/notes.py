"""Messages about keys of the 2025 edition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compozy.config.nodes import MappingNode, child, with_entries
from compozy.errors import Diagnostic, SourceLocation

IGNORED = "ignored"
"""Code of what is reported about keys without an effect."""


@dataclass
class Notes:
    """Collects a warning for each key that has no effect any more."""

    items: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def warn(self, place: SourceLocation, message: str, hint: str) -> None:
        """Add a warning about a value."""
        self.items.append(Diagnostic(location=place, message=message, hint=hint, code=IGNORED))

    def drop(self, node: MappingNode, reasons: Mapping[str, str]) -> MappingNode:
        """Return `node` without the keys of `reasons`, with a warning for each key that it has."""
        for entry in node.entries:
            if entry.key in reasons:
                message = f"{entry.key!r} has no effect"
                self.items.append(
                    Diagnostic(location=entry.key_place, message=message, hint=reasons[entry.key], code=IGNORED)
                )
        return with_entries(node, dict.fromkeys(reasons))

    def drop_below(self, node: MappingNode, key: str, reasons: Mapping[str, str]) -> MappingNode:
        """Return `node` in which the map under `key` has none of the keys of `reasons`; an empty map goes, too."""
        below = child(node, key)
        if not isinstance(below, MappingNode) or not any(entry.key in reasons for entry in below.entries):
            return node
        kept = self.drop(below, reasons)
        return with_entries(node, {key: kept if kept.entries else None})
