"""`type: mcp`: offers the workflow as a tool of the MCP server of `compozy start`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from compozy.config.duration import TimeLimitS
from compozy.trigger.kind import TriggerBase, TriggerKind

GET, WAIT, ANSWER, CANCEL = "get_run", "wait_run", "answer_run", "cancel_run"
"""Tools for runs, which are offered besides those of workflows."""
# Clients often stop waiting for a call after 60 s.
DEFAULT_WAIT_S = 45.0


class McpTrigger(TriggerBase):
    """Offers the workflow as a tool to MCP clients."""

    type: Literal["mcp"] = Field(description="Kind of trigger.")
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$",
        description="Name of the tool, unique in the project; default is the ID of the workflow.",
    )
    description: str | None = Field(
        default=None,
        min_length=1,
        description="Purpose of the tool, for the model that chooses it; default is the `description` of the workflow.",
    )
    mode: Literal["wait", "start"] = Field(
        default="wait", description="Whether a call waits for the end of the run, or returns when it was accepted."
    )
    wait: TimeLimitS = Field(
        default=DEFAULT_WAIT_S,
        le=3600,
        description="How long a call waits at most; the run continues, and its result names the run.",
    )

    @model_validator(mode="after")
    def _check_wait(self) -> McpTrigger:
        if self.mode == "start" and "wait" in self.model_fields_set:
            raise ValueError("`wait` does not go with `mode: start`, which does not wait")
        return self


KIND = TriggerKind(
    name="mcp",
    model=McpTrigger,
    page="/docs/guides/offer-workflows-over-mcp",
    entry="compozy.server.mcp.endpoint",
    extra="mcp",
    packages=("mcp",),
    unique=("name",),
    is_named_by_workflow=True,
    reserved=frozenset({GET, WAIT, ANSWER, CANCEL}),
    noun="tool",
)
