"""Agents: `agent:` of a task, and agents that several tasks share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compozy.agent.attachment.config import AttachmentConfig
from compozy.agent.budget import BudgetConfig
from compozy.config.reference import OrId, SchemaOrId
from compozy.config.settings import Section
from compozy.knowledge.config import KnowledgeBinding
from compozy.memory.config import MemoryUse
from compozy.model.fallback import Fallback, FallbackModel
from compozy.model.params import ModelParams
from compozy.tool.mcp.config import ToolAndServerUse

AGENT_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"


class ActionConfig(Section):
    """`actions:`, a named prompt of an agent, with its schemas."""

    id: str = Field(pattern=AGENT_ID_PATTERN, description="Name of the action, unique in its agent.")
    name: str | None = Field(default=None, description="Title, for people.")
    description: str | None = Field(default=None, description="For people.")
    prompt: str = Field(min_length=1, description="Prompt of the action; a template.")
    input: SchemaOrId | None = Field(default=None, description="JSON Schema of the `with` of the task.")
    output: SchemaOrId | None = Field(default=None, description="JSON Schema of the answer.")
    attachments: tuple[AttachmentConfig, ...] | None = Field(
        default=None, description="Files and URLs that are sent with the prompt."
    )


class _AgentModel(Section):
    """Which agent it is, and which model answers."""

    id: str | None = Field(
        default=None, pattern=AGENT_ID_PATTERN, description="Name of the agent. Alone, it names a shared agent."
    )
    name: str | None = Field(default=None, description="Title, for people.")
    description: str | None = Field(default=None, description="For people.")
    version: str | None = Field(default=None, description="Version of the agent, any text.")
    llm: str | None = Field(
        default=None, min_length=1, description="Provider ID. Default: the first of `llm.providers`."
    )
    model: str | None = Field(default=None, min_length=1, description="Model name. Default: that of the provider.")
    fallback: Fallback | None = Field(
        default=None, description="Models to ask when the model fails. Default: those of the provider."
    )


class CompactionConfig(Section):
    """`compaction:`, when old turns of a conversation with tools are replaced by a summary."""

    at: float = Field(
        default=0.85, gt=0, le=1, description="Share of the model's context window from which turns are summarized."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Number of tokens from which turns are summarized, in place of `at`."
    )
    llm: str | None = Field(
        default=None, min_length=1, description="Provider that summarizes. Default: that of the agent."
    )
    model: str | None = Field(
        default=None, min_length=1, description="Model that summarizes. Default: that of the agent, or of `llm`."
    )
    keep_turns: int = Field(
        default=4, ge=1, le=1000, description="Number of the latest turns that are kept: a request with its tool calls."
    )


class Converses(Section):
    """`sub_agents:`, `memory:` and `compaction:` of an agent or a task."""

    sub_agents: tuple[str, ...] | None = Field(
        default=None, description="IDs of agents that the model can ask with `cp__call_agent`."
    )
    memory: tuple[Annotated[MemoryUse, OrId("a memory")], ...] | None = Field(
        default=None, description="Conversations that the model remembers, by the IDs of memories."
    )
    compaction: CompactionConfig | None = Field(
        default=None, description="When old turns of a long conversation are summarized. Default: never."
    )


class AgentConfig(Converses, ToolAndServerUse, ModelParams, _AgentModel):
    """Which model answers the prompt of a task, and how."""

    instructions: str | None = Field(
        default=None, description="Instructions for the model, sent before the prompt; a template."
    )
    budget: BudgetConfig | None = Field(default=None, description="Limits of what each task of the agent may spend.")
    knowledge: tuple[KnowledgeBinding, ...] | None = Field(
        default=None, description="Knowledge bases of the agent. Default: those of the workflow."
    )
    output: SchemaOrId | None = Field(
        default=None, description="JSON Schema of answers, unless the task or the action has one."
    )
    attachments: tuple[AttachmentConfig, ...] | None = Field(
        default=None, description="Files and URLs that are sent with every prompt of the agent."
    )
    actions: tuple[ActionConfig, ...] | None = Field(
        default=None, description="Prompts with their schemas; `action` of a task chooses one."
    )

    @property
    def models(self) -> tuple[FallbackModel, Fallback | None]:
        """The model that answers, and those that are asked when it fails."""
        return FallbackModel(llm=self.llm, model=self.model), self.fallback

    def action(self, action_id: str) -> ActionConfig | None:
        """Return the action of this ID, None if the agent has none."""
        return next((action for action in self.actions or () if action.id == action_id), None)


class AgentResource(AgentConfig):
    """A shared agent: a file in `agents/`, or an item of `agents` in compozy.yaml or in a workflow."""

    resource: Literal["agent"] = Field(default="agent", description="Kind of file, for files that `autoload` finds.")
    id: str = Field(pattern=AGENT_ID_PATTERN, description="Name of the agent, unique in the project.")  # pyright: ignore[reportIncompatibleVariableOverride]
