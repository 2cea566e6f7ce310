"""The memories of a project by ID, for operations on their conversations."""

from __future__ import annotations

from collections.abc import Mapping

from compozy.config.validate import validate
from compozy.memory.config import MemoryResource
from compozy.project.loaded import LoadedProject
from compozy.project.resource_kinds import MEMORY


def memories_of(project: LoadedProject) -> Mapping[str, MemoryResource]:
    """Return the memories that the files of a project define; those with errors are left out."""
    found: dict[str, MemoryResource] = {}
    for resource in project.resources:
        memory = validate(MemoryResource, resource.node, label="the memory")[0] if resource.kind is MEMORY else None
        if memory is not None:
            found.setdefault(memory.id, memory)
    return found
