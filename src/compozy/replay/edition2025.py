"""Test fixtures of the 2025 edition: one run in each file, with `expected` states."""

from __future__ import annotations

from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, text_at


def is_fixture(node: MappingNode) -> bool:
    """Return whether a file is a fixture of the 2025 edition."""
    return node.entry("expected") is not None and node.entry("tests") is None


def modernize_fixture(node: MappingNode) -> MappingNode:
    """Return a fixture as a file with one test. Every value keeps its place.

    `expected.workflow_state` has the status and the output of the run, `expected.task_states` a list of tasks.
    """
    expected = node.entry("expected")
    name = node.entry("name") or _entry("name", _scalar("fixture", node))
    own = [entry for entry in node.entries if entry.key not in {"name", "workflow", "expected", "description"}]
    expect = _entry("expect", _expect(expected.value) if expected is not None else node, expected)
    test = MappingNode(entries=(name, *own, expect), place=node.place)
    kept = [entry for entry in node.entries if entry.key == "workflow"]
    return MappingNode(
        entries=(*kept, _entry("tests", SequenceNode(items=(test,), place=node.place), name)), place=node.place
    )


def _expect(node: Node) -> Node:
    if not isinstance(node, MappingNode):
        return node
    entries: list[Entry] = []
    for entry in node.entries:
        if entry.key == "workflow_state":
            entries += _state(entry.value).entries if isinstance(entry.value, MappingNode) else (entry,)
        elif entry.key == "task_states":
            entries.append(_entry("tasks", _tasks(entry.value), entry))
        else:
            entries.append(entry)
    return MappingNode(entries=tuple(entries), place=node.place)


def _state(node: MappingNode) -> MappingNode:
    """Return the state of a run or a task with the status as this edition writes it."""
    entries = [
        _entry("status", _scalar(entry.value.text.upper(), entry.value), entry)
        if entry.key == "status" and isinstance(entry.value, ScalarNode)
        else entry
        for entry in node.entries
    ]
    return MappingNode(entries=tuple(entries), place=node.place)


def _tasks(node: Node) -> Node:
    """Return the tasks as a map by their IDs; the 2025 edition lists them."""
    if isinstance(node, MappingNode):
        items = [
            _entry(entry.key, _state(entry.value) if isinstance(entry.value, MappingNode) else entry.value, entry)
            for entry in node.entries
        ]
        return MappingNode(entries=tuple(items), place=node.place)
    if not isinstance(node, SequenceNode):
        return node
    entries: list[Entry] = []
    for item in node.items:
        if not isinstance(item, MappingNode):
            return node
        key = next((key for key in ("id", "task_id", "name") if text_at(item, key)), None)
        if key is None:
            return node
        kept = tuple(entry for entry in item.entries if entry.key != key)
        entries.append(_entry(text_at(item, key), _state(MappingNode(entries=kept, place=item.place)), item.entry(key)))
    return MappingNode(entries=tuple(entries), place=node.place)


def _entry(key: str, value: Node, like: Entry | None = None) -> Entry:
    return Entry(key=key, key_place=like.key_place if like is not None else value.place, value=value)


def _scalar(text: str, like: Node) -> ScalarNode:
    return ScalarNode(value=text, text=text, place=like.place)
