"""The workflows that a project offers over MCP: those with a trigger of type `mcp`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compozy.project.loaded import LoadedProject
from compozy.trigger.kinds.mcp import McpTrigger
from compozy.workflow.config import WorkflowConfig


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A workflow as a tool.

    Attributes:
        name: name of the tool.
        title: title for people, None for none.
        schema: JSON Schema of the arguments, always of an object.
        wait_s: how long a call waits for the run, in seconds; 0 for not at all.
    """

    name: str
    title: str | None
    description: str
    workflow_id: str
    schema: dict[str, Any]
    wait_s: float


def offers_of(project: LoadedProject) -> dict[str, Offer]:
    """Return the offers of a project by name, in the order of its workflows."""
    offers = [offer for workflow in project.workflows.values() for offer in _offers_of(workflow.config)]
    return {offer.name: offer for offer in offers}


def _offers_of(workflow: WorkflowConfig) -> Iterator[Offer]:
    for trigger in workflow.triggers or ():
        if isinstance(trigger, McpTrigger):
            about = trigger.description or workflow.description or workflow.name
            yield Offer(
                name=trigger.name or workflow.id,
                title=workflow.name,
                description=about or f"Runs the workflow {workflow.id!r}.",
                workflow_id=workflow.id,
                schema={"type": "object", **(workflow.input_schema or {})},
                wait_s=trigger.wait if trigger.mode == "wait" else 0.0,
            )
