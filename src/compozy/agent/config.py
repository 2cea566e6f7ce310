"""`agent:` of a task, as it is written in a workflow file."""

from __future__ import annotations

from pydantic import Field

from compozy.config.settings import Section
from compozy.knowledge.config import KnowledgeBinding


class AgentConfig(Section):
    """Which model answers the task's prompt, and how."""

    llm: str | None = Field(
        default=None, min_length=1, description="Provider id; default is the first of `llm.providers`."
    )
    model: str | None = Field(default=None, min_length=1, description="Model name; default is the provider's.")
    instructions: str | None = Field(
        default=None, description="What the model is told to be, before the prompt; a template."
    )
    knowledge: tuple[KnowledgeBinding, ...] | None = Field(
        default=None, description="Knowledge bases that the agent draws on; default is the workflow's."
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int | None = Field(default=None, ge=1, description="Limit on the length of the answer, in tokens.")
