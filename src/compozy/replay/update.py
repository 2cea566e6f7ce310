"""`compozy test --update`: expectations of a test file become what its runs gave; comments and layout stay."""

from __future__ import annotations

import difflib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from compozy.config.extents import UnsupportedYamlError
from compozy.config.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    YamlPath,
    child,
    place_at,
    to_value,
)
from compozy.config.parse import parse_yaml
from compozy.config.rewrite import rewrite_yaml
from compozy.errors import SourceLocation, UsageError
from compozy.replay.collect import Test
from compozy.replay.edition2025 import is_fixture
from compozy.replay.expect import Observed, is_skipped
from compozy.replay.session import Outcome


@dataclass(frozen=True, kw_only=True)
class UpdatedFile:
    """A test file with new expectations."""

    path: Path
    shown: str
    old: str
    new: str

    @property
    def diff(self) -> str:
        """Return the changes as a unified diff."""
        old, new = self.old.splitlines(), self.new.splitlines()
        return "\n".join(difflib.unified_diff(old, new, self.shown, self.shown, lineterm=""))


def plan_updates(outcomes: Sequence[Outcome]) -> list[UpdatedFile]:
    """Return the test files in which the status or the output that failed tests expect would change.

    Raises:
        UsageError: the layout of a file cannot be kept.
    """
    by_file: defaultdict[Path, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if not outcome.has_passed and outcome.result.has_ended:
            by_file[outcome.test.file.path].append(outcome)
    planned = (_plan(path, failed) for path, failed in by_file.items())
    return [update for update in planned if update is not None]


def write_updates(updates: Sequence[UpdatedFile]) -> None:
    """Write the files.

    Raises:
        UsageError: a file cannot be written.
    """
    for update in updates:
        try:
            update.path.write_text(update.new, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{update.shown} cannot be written: {error.strerror}") from error


def _plan(path: Path, failed: Sequence[Outcome]) -> UpdatedFile | None:
    old = path.read_text(encoding="utf-8")
    root = parse_yaml(old.encode(), file=str(path)).node
    if not isinstance(root, MappingNode) or is_fixture(root):
        return None
    changed: Node = root
    for outcome in failed:
        for step, value in _changes(outcome, root):
            changed = _replaced(changed, step, value, place_at(root, step))
    shown = failed[0].test.file.shown
    try:
        new = rewrite_yaml(old, root, cast("MappingNode", changed))
    except UnsupportedYamlError as error:
        raise UsageError(f"{shown} cannot be updated: {error}", hint="change it by hand") from error
    return UpdatedFile(path=path, shown=shown, old=old, new=new) if new != old else None


def _changes(outcome: Outcome, root: MappingNode) -> Iterator[tuple[YamlPath, Any]]:
    """Yield the values of a test that are to change, by their paths."""
    base = _path_of(outcome.test, root)
    node = _node_at(root, base)
    if base == () or not isinstance(node, MappingNode):
        return
    observed = Observed(run=outcome.result.run, calls=outcome.result.calls)
    run = observed.run
    for key, value in (("status", run["status"]), ("exactly", run["output"]), ("output", run["output"])):
        yield from _change(node, base, key, value, is_part=key == "output")
    tasks = _node_at(node, ("tasks",))
    if isinstance(tasks, MappingNode):
        yield from _task_changes(tasks, (*base, "tasks"), observed)


def _task_changes(tasks: MappingNode, base: YamlPath, observed: Observed) -> Iterator[tuple[YamlPath, Any]]:
    for entry in tasks.entries:
        task = observed.tasks.get(entry.key)
        if task is None:
            continue
        status = "skipped" if is_skipped(task) else task["status"]
        if isinstance(entry.value, ScalarNode):
            yield from _change(tasks, base, entry.key, status)
        elif isinstance(entry.value, MappingNode):
            path = (*base, entry.key)
            yield from _change(entry.value, path, "status", status)
            for key in ("output", "input"):
                yield from _change(entry.value, path, key, task[key], is_part=True)


def _path_of(test: Test, root: MappingNode) -> YamlPath:
    tests = root.entry("tests")
    items = tests.value.items if tests is not None and isinstance(tests.value, SequenceNode) else ()
    for index, item in enumerate(items):
        name = item.entry("name") if isinstance(item, MappingNode) else None
        if name is not None and to_value(name.value) == test.case.name:
            return ("tests", index, "expect")
    return ()


def _change(
    node: MappingNode, path: YamlPath, key: str, value: Any, *, is_part: bool = False
) -> Iterator[tuple[YamlPath, Any]]:
    entry = node.entry(key)
    if entry is None:
        return
    expected = to_value(entry.value)
    yield from _differences(expected, value, (*path, key), is_part=is_part)


def _differences(expected: Any, found: Any, path: YamlPath, *, is_part: bool) -> Iterator[tuple[YamlPath, Any]]:
    """Yield the smallest values that differ; of maps that are a part, only the keys that are expected."""
    if isinstance(expected, dict) and isinstance(found, dict):
        known, got = cast("dict[str, Any]", expected), cast("dict[str, Any]", found)
        is_complete = is_part or not got.keys() - known.keys()
        if is_complete and not known.keys() - got.keys():
            for key, value in known.items():
                yield from _differences(value, got[key], (*path, key), is_part=is_part)
        else:
            yield path, {key: value for key, value in got.items() if key in known or not is_part}
    elif expected != found or isinstance(expected, bool) != isinstance(found, bool):
        yield path, found


def _node_at(root: Node, path: YamlPath) -> Node | None:
    found: Node | None = root
    for step in path:
        found = child(found, step) if found is not None else None
    return found


def _replaced(node: Node, path: YamlPath, value: Any, place: SourceLocation) -> Node:
    if not path:
        return _new_node(value, replace(place, file="new"))
    step, rest = path[0], path[1:]
    if isinstance(node, MappingNode):
        entries = [
            replace(entry, value=_replaced(entry.value, rest, value, place)) if entry.key == step else entry
            for entry in node.entries
        ]
        return replace(node, entries=tuple(entries))
    assert isinstance(node, SequenceNode)  # noqa: S101 - the path comes from the file
    items = [_replaced(item, rest, value, place) if at == step else item for at, item in enumerate(node.items)]
    return replace(node, items=tuple(items))


def _new_node(value: Any, place: SourceLocation) -> Node:
    if isinstance(value, Mapping):
        entries = [
            Entry(key=key, key_place=place, value=_new_node(below, place))
            for key, below in cast("Mapping[str, Any]", value).items()
        ]
        return MappingNode(entries=tuple(entries), place=place)
    if isinstance(value, list):
        return SequenceNode(items=tuple(_new_node(item, place) for item in cast("list[Any]", value)), place=place)
    text = value if isinstance(value, str) else json.dumps(value)
    return ScalarNode(value=value, text=text, place=place)
