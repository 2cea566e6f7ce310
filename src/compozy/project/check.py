"""Everything that only the whole project shows: references, duplicates, cycles, templates, schemas."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.config.database_rules import check_database
from compozy.errors import Diagnostic
from compozy.project.check_approval import check_approval
from compozy.project.check_knowledge import check_knowledge
from compozy.project.check_memories import check_memories
from compozy.project.check_providers import check_providers
from compozy.project.check_resources import check_resources
from compozy.project.check_schedules import check_schedules
from compozy.project.check_templates import check_templates
from compozy.project.check_triggers import check_triggers
from compozy.project.check_workflows import check_workflows
from compozy.project.link import LinkedProject
from compozy.project.outline import outline_project
from compozy.project.resource_kinds import MEMORY


def check_project(linked: LinkedProject) -> Iterator[Diagnostic]:
    """Yield the diagnostics that concern more than a single value."""
    read = linked.read
    project = outline_project(read)
    if read.is_readable:
        yield from check_database(read.node, read.sources)
        yield from check_providers(project, read.root)
        yield from check_knowledge(read, project)
        memories = [resource.node for resource in linked.resources if resource.kind is MEMORY]
        yield from check_memories(read, project, memories)
        yield from check_approval(read.node, ("runtime", "approve"))
    yield from check_resources(linked, project)
    yield from check_workflows(project)
    yield from check_triggers(project)
    yield from check_schedules(project)
    yield from check_templates(project)
