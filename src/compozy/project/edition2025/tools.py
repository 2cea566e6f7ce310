"""Tools in the spelling of the 2025 edition, and what its `runtime` says about them."""

from __future__ import annotations

import re

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, text_node, with_entries
from compozy.errors import Diagnostic
from compozy.project.edition2025.notes import IGNORED, Notes

_ALL = ("--allow-all", "-A")
_FLAG = re.compile(r"--allow-(read|write|net|env)(?:=(.*))?")
_KINDS = ("read", "write", "net", "env")


def modernize_tool(node: MappingNode) -> MappingNode:
    """Return a tool in today's spelling: `execute` is `run`, and a tool of a file without `input` takes anything."""
    execute = child(node, "execute")
    if execute is None or child(node, "run") is not None:
        return node
    node = with_entries(node, {"execute": None, "run": execute})
    return node if child(node, "input") is not None else with_entries(node, {"input": any_arguments(execute)})


def any_arguments(beside: Node) -> MappingNode:
    """Return the JSON Schema of arguments that nothing is known about."""
    return with_entries(MappingNode(entries=(), place=beside.place), {"type": text_node("object", beside.place)})


def with_permission_map(runtime: MappingNode, notes: Notes) -> MappingNode:
    """Return `runtime` whose list of flags under `permissions` is a map; flags without a meaning become warnings."""
    flags = child(runtime, "permissions")
    if not isinstance(flags, SequenceNode):
        return runtime
    reach: dict[str, Node | None] = {}
    for flag in flags.items:
        if not isinstance(flag, ScalarNode):
            return runtime
        found = _FLAG.fullmatch(flag.text)
        if flag.text in _ALL:
            reach.update({kind: _true(flag) for kind in _KINDS})
        elif found is None:
            hint = "the permissions of tools are read, write, net and env"
            notes.items.append(
                Diagnostic(location=flag.place, message=f"{flag.text!r} has no effect", hint=hint, code=IGNORED)
            )
        else:
            reach[found[1]] = _listed(flag, found[2]) if found[2] else _true(flag)
    changed = with_entries(MappingNode(entries=(), place=flags.place), reach)
    return with_entries(runtime, {"permissions": changed if reach else None})


def _true(flag: ScalarNode) -> ScalarNode:
    return ScalarNode(value=True, text="true", place=flag.place)


def _listed(flag: ScalarNode, values: str) -> SequenceNode:
    return SequenceNode(items=tuple(text_node(value, flag.place) for value in values.split(",")), place=flag.place)
