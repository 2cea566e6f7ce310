"""The kinds of shared resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WORKFLOW = "workflow"
REFERENCE = "reference"
"""`type` of a task that stands for a shared one."""


@dataclass(frozen=True, kw_only=True)
class ResourceKind:
    """A kind of resource.

    Attributes:
        name: value of `resource` in a file.
        plural: key of the list in compozy.yaml.
        folder: where its files are found; default is `plural`.
        in_workflows: whether a workflow can have a list of its own, which comes first.
        title: name in messages; default is `name`.
    """

    name: str
    plural: str
    in_workflows: bool = True
    title: str = ""
    folder: str = ""

    def __post_init__(self) -> None:
        """Set the default folder."""
        if not self.folder:
            object.__setattr__(self, "folder", self.plural)

    @property
    def words(self) -> str:
        """The name in messages."""
        return self.title or self.name


AGENT = ResourceKind(name="agent", plural="agents")
SCHEMA = ResourceKind(name="schema", plural="schemas")
TASK = ResourceKind(name="task", plural="tasks", in_workflows=False)
TOOL = ResourceKind(name="tool", plural="tools")
MCP = ResourceKind(name="mcp", plural="mcps", title="MCP server")
# A conversation outlives its run and is found by this ID, so that workflows cannot define any.
MEMORY = ResourceKind(name="memory", plural="memories", in_workflows=False, folder="memory")
RESOURCE_KINDS: Mapping[str, ResourceKind] = {kind.name: kind for kind in (AGENT, MCP, MEMORY, SCHEMA, TASK, TOOL)}
"""The kinds by name. A new kind needs an entry here, and its check in `compozy.project.check_resources`."""
