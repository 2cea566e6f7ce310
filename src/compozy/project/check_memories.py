"""Checks of what memories name: knowledge bases of `recall`, and providers that summarize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compozy.config.nodes import MappingNode, node_at, text_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.project.check_knowledge import knowledge_bases_of, unknown
from compozy.project.check_models import check_provider_name
from compozy.project.outline import ProjectOutline, map_items
from compozy.project.sources import ProjectSources


def check_memories(
    read: ProjectSources, project: ProjectOutline, memories: Sequence[MappingNode]
) -> Iterator[Diagnostic]:
    """Yield what is wrong with names in `memories`, those of the project, and in memories of tasks and agents."""
    bases = knowledge_bases_of(read)
    # A memory that is linked into several tasks is one of them.
    reported: set[SourceLocation] = set()
    for node in (*memories, *_used(project)):
        wanted = text_at(node, "recall", "knowledge")
        found = [] if not wanted or wanted in bases else [_unknown_base(node, wanted, bases)]
        if project.knows_providers:
            found += check_provider_name(node, ("flushing", "llm"), project.providers)
        for diagnostic in found:
            if diagnostic.location not in reported:
                reported.add(diagnostic.location)
                yield diagnostic


def _used(project: ProjectOutline) -> Iterator[MappingNode]:
    for workflow in project.workflows:
        for task in workflow.list.walk():
            for path in (("memory",), ("agent", "memory")):
                yield from (use for _, use in map_items(task.node, *path))
            memory = node_at(task.node, ("memory",))
            if isinstance(memory, MappingNode):
                yield memory


def _unknown_base(node: MappingNode, wanted: str, bases: list[str]) -> Diagnostic:
    return unknown(node, ("recall", "knowledge"), wanted, "knowledge base", bases)
