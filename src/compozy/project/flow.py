"""Transitions in a list of tasks, read from the nodes as `compozy.task.next` reads them from the models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from compozy.config.nodes import MappingNode, ScalarNode, YamlPath, node_at, text_at
from compozy.project.outline import TaskList, TaskOutline, with_routed


@dataclass(frozen=True, kw_only=True, eq=False)
class Link:
    """`source` may be followed by `target`, which need not exist.

    `path` is where that is written, () when it is the order of the list. `is_failure`: it follows a failure.
    """

    source: TaskOutline
    target: str
    path: YamlPath
    is_failure: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Flow:
    """The tasks of one list, the first one first, and what leads from one to another.

    `is_named` is set when a task names what follows. `end` of the workflow is no task.
    """

    tasks: tuple[TaskOutline, ...]
    links: tuple[Link, ...]
    is_named: bool

    @cached_property
    def by_id(self) -> Mapping[str, TaskOutline]:
        """Return the tasks by id, of two the first."""
        found: dict[str, TaskOutline] = {}
        for task in self.tasks:
            found.setdefault(task.id, task)
        return found

    @property
    def has_ids(self) -> bool:
        """Return whether the task IDs are unique."""
        return all(task.id for task in self.tasks) and len(self.by_id) == len(self.tasks)

    @cached_property
    def is_sound(self) -> bool:
        """Return whether the task IDs are unique, every target exists, and the transitions contain no cycle."""
        return self.has_ids and not self.unknown() and not self.circles()

    def unknown(self) -> list[Link]:
        """Return the links that lead to no task of the list."""
        return [link for link in self.links if link.target not in self.by_id]

    def circles(self) -> list[tuple[Link, list[str]]]:
        """Return each link that closes a circle, with the ids on it."""
        found: list[tuple[Link, list[str]]] = []
        done: set[str] = set()
        for task in self.tasks:
            if task.id not in done:
                found += self._circles_from(task.id, done)
        return found

    def stray(self) -> list[TaskOutline]:
        """Return the tasks that nothing leads to, without those that only they lead to."""
        led_to = {link.target for link in self.links}
        return [task for task in self.tasks[1:] if task.id not in led_to]

    def before(self, task_id: str) -> set[str]:
        """Return the ids of the tasks that can have run before."""
        return self._before[task_id] - {task_id} if self.is_sound else self.by_id.keys() - {task_id}

    def after(self, task_id: str) -> set[str]:
        """Return the ids of the tasks that can run later."""
        return reachable(self._targets, self._targets[task_id])

    @cached_property
    def after_failure(self) -> set[str]:
        """Return the ids of the tasks to which a failure can lead."""
        return reachable(self._targets, [link.target for link in self.links if link.is_failure])

    @cached_property
    def _targets(self) -> defaultdict[str, list[str]]:
        return _neighbours((link.source.id, link.target) for link in self.links)

    @cached_property
    def _before(self) -> Mapping[str, set[str]]:
        sources = _neighbours((link.target, link.source.id) for link in self.links)
        return {task.id: reachable(sources, sources[task.id]) for task in self.tasks}

    def _circles_from(self, first: str, done: set[str]) -> Iterator[tuple[Link, list[str]]]:
        """Search depth first, without recursion."""
        links: defaultdict[str, list[Link]] = defaultdict(list)
        for link in self.links:
            links[link.source.id].append(link)
        on_path: list[str] = [first]
        waiting = [iter(links[first])]
        while waiting:
            link = next(waiting[-1], None)
            if link is None:
                waiting.pop()
                done.add(on_path.pop())
            elif link.target in on_path:
                yield link, [*on_path[on_path.index(link.target) :], link.target]
            elif link.target not in done:
                on_path.append(link.target)
                waiting.append(iter(links[link.target]))


def flows_of(tasks: TaskList, workflow: MappingNode) -> list[Flow]:
    """Return the flow of a workflow or a composite; of another container one for each of its tasks."""
    if tasks.kind is None:
        return [_flow(tasks.tasks, text_at(workflow, "config", "on_error", "next"))]
    if tasks.is_sequence:
        return [_flow(tasks.tasks, "")]
    return [_flow((task,), "") for task in tasks.tasks]


def reachable(targets: Mapping[str, list[str]], first: Iterable[str]) -> set[str]:
    """Return what can be reached along `targets` from `first`, these included."""
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        task_id = waiting.pop()
        if task_id not in found:
            found.add(task_id)
            waiting += targets.get(task_id, [])
    return found


def _flow(listed: tuple[TaskOutline, ...], on_error: str) -> Flow:
    tasks = tuple(with_routed(listed))
    is_named = any(task.kind.routes or _is_map(task, "on_success") or _is_map(task, "on_error") for task in tasks)
    named = {task: list(_named_links(task)) for task in tasks}
    targets = _neighbours((task.id, link.target) for task, links in named.items() for link in links)
    handlers = reachable(targets, [on_error]) if on_error else set[str]()
    aside = handlers | {text_at(task.node, task.kind.on_timeout) for task in tasks if task.kind.on_timeout}
    order = [] if is_named else [task for task in tasks if task.id not in aside]
    links = [link for task in tasks for link in (*named[task], *_inherited_link(task, on_error, handlers))]
    links += _order_links(order)
    return Flow(tasks=tasks, links=tuple(links), is_named=is_named)


def _named_links(task: TaskOutline) -> Iterator[Link]:
    if not _is_final(task):
        yield from _success_links(task)
    for above in (("on_error",), ("config", "on_error")):
        if isinstance(node_at(task.node, above), MappingNode):
            yield from _link(task, (*above, "next"), is_failure=True)
            break
    if task.kind.on_timeout:
        yield from _link(task, (task.kind.on_timeout,), is_failure=True)


def _success_links(task: TaskOutline) -> Iterator[Link]:
    if not task.kind.routes:
        yield from _link(task, ("on_success", "next"), is_failure=False)
        return
    routes = node_at(task.node, (task.kind.routes,))
    for entry in routes.entries if isinstance(routes, MappingNode) else ():
        is_inline = isinstance(entry.value, MappingNode)
        yield from _link(task, (task.kind.routes, entry.key, *(("id",) if is_inline else ())), is_failure=False)


def _link(task: TaskOutline, path: YamlPath, *, is_failure: bool) -> Iterator[Link]:
    target = text_at(task.node, *path)
    if target:
        yield Link(source=task, target=target, path=(*task.path, *path), is_failure=is_failure)


def _inherited_link(task: TaskOutline, on_error: str, handlers: set[str]) -> Iterator[Link]:
    has_own = any(isinstance(node_at(task.node, path), MappingNode) for path in (("on_error",), ("config", "on_error")))
    if on_error and not has_own and task.id not in handlers:
        yield Link(source=task, target=on_error, path=("config", "on_error", "next"), is_failure=True)


def _order_links(order: list[TaskOutline]) -> Iterator[Link]:
    for task, following in pairwise(order):
        if not _is_final(task):
            yield Link(source=task, target=following.id, path=(), is_failure=False)


def _is_map(task: TaskOutline, key: str) -> bool:
    return isinstance(node_at(task.node, (key,)), MappingNode)


def _is_final(task: TaskOutline) -> bool:
    found = node_at(task.node, ("final",))
    return isinstance(found, ScalarNode) and found.value is True


def _neighbours(pairs: Iterable[tuple[str, str]]) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one, other in pairs:
        found[one].append(other)
    return found
