"""All kinds of triggers. A new kind is one import and one entry here."""

from __future__ import annotations

from compozy.trigger.kind import TRIGGER_KINDS, Trigger, TriggerBase, TriggerKind, register
from compozy.trigger.kinds import mcp, signal, webhook

register(mcp.KIND, webhook.KIND, signal.KIND)

__all__ = ["TRIGGER_KINDS", "Trigger", "TriggerBase", "TriggerKind", "kind_of", "register"]


def kind_of(trigger: TriggerBase) -> TriggerKind:
    """Return the kind of a trigger."""
    return TRIGGER_KINDS[trigger.type]
