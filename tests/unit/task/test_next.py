"""The order of tasks: any valid list ends, repeats no task, and a plain list skips none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.config.nodes import MappingNode
from compozy.config.parse import parse_yaml
from compozy.database.jsontext import dump_json
from compozy.database.status import Status
from compozy.project.check_tasks import check_tasks
from compozy.project.flow import flows_of
from compozy.project.outline import WorkflowOutline, task_list_of
from compozy.task.next import ROUTE_TAKEN, Plan, following, plan_of, targets_of
from compozy.task.options import Transition
from compozy.workflow.config import WorkflowConfig

ENDS = (Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED)


def plan(document: dict[str, Any]) -> Plan:
    workflow = WorkflowConfig.model_validate(document)
    on_error = workflow.config.on_error if workflow.config else None
    return plan_of(workflow.tasks, ("tasks",), on_error=on_error)


def outline(document: dict[str, Any]) -> WorkflowOutline:
    # JSON is YAML.
    node = parse_yaml(dump_json(document).encode(), file="w.yaml").node
    assert isinstance(node, MappingNode)
    return WorkflowOutline(id="w", file="w.yaml", node=node, list=task_list_of(node))


def is_fine(document: dict[str, Any]) -> bool:
    return not list(check_tasks(outline(document), 20))


NAMES = st.integers(0, 6).map("t{}".format)


@st.composite
def tasks(draw: st.DrawFn, task_id: str, names: Iterator[str], depth: int = 0) -> dict[str, Any]:
    task: dict[str, Any] = {"id": task_id}
    kind = draw(st.sampled_from(["basic", "basic", "basic", "router", "wait"]))
    if kind == "router":
        targets = [draw(NAMES) for _ in range(draw(st.integers(1, 2)))]
        task |= {"type": "router", "condition": "x", "routes": dict(zip("ab", targets, strict=False))}
        if depth < 2 and draw(st.booleans()):
            task["routes"]["c"] = draw(tasks(next(names), names, depth + 1))
    elif kind == "wait":
        task |= {"type": "wait", "wait_for": "x"}
        if draw(st.booleans()):
            task["on_timeout"] = draw(NAMES)
    for key in ("on_success", "on_error"):
        if draw(st.integers(0, 3)) == 0:
            task[key] = {"next": draw(NAMES)} if draw(st.booleans()) else {}
    if draw(st.integers(0, 5)) == 0:
        task["config"] = {"on_error": {"next": draw(NAMES)}}
    if draw(st.integers(0, 7)) == 0:
        task["final"] = True
    return task


@st.composite
def any_list(draw: st.DrawFn) -> dict[str, Any]:
    """Any list of tasks, most of them invalid."""
    names = (f"t{number}" for number in itertools.count())
    document: dict[str, Any] = {"id": "w", "tasks": []}
    for _ in range(draw(st.integers(1, 5))):
        document["tasks"].append(draw(tasks(next(names), names)))
    if draw(st.booleans()):
        document["config"] = {"on_error": {"next": draw(NAMES)}}
    return document


@st.composite
def forward_list(draw: st.DrawFn) -> dict[str, Any]:
    """A list whose transitions lead forward, to the next task among others. Most of them are valid."""
    count = draw(st.integers(1, 7))
    listed: list[dict[str, Any]] = []
    for number in range(count):
        task: dict[str, Any] = {"id": f"t{number}"}
        later = st.integers(number + 1, count).map("t{}".format)
        kind = draw(st.sampled_from(["basic", "router", "wait"]))
        if kind == "router":
            task |= {"type": "router", "condition": "x", "routes": {"a": f"t{number + 1}", "b": draw(later)}}
        else:
            task["on_success"] = {"next": f"t{number + 1}"}
        if kind == "wait":
            task |= {"type": "wait", "wait_for": "x", "on_timeout": draw(later)}
        if draw(st.booleans()):
            task["on_error"] = {"next": draw(later)}
        listed.append(task)
    return {"id": "w", "tasks": [*listed, {"id": f"t{count}"}]}


@st.composite
def plain_list(draw: st.DrawFn) -> dict[str, Any]:
    """A list in which no task names its successor, with a handler for failures."""
    count = draw(st.integers(1, 8))
    document: dict[str, Any] = {"id": "w", "tasks": [{"id": f"t{number}"} for number in range(count)]}
    if draw(st.booleans()):
        document["tasks"].insert(draw(st.integers(1, count)), {"id": "handler"})
        document["config"] = {"on_error": {"next": "handler"}}
    return document


def walk(found: Plan, choose: st.DataObject) -> list[str]:
    """Follow the plan from the first task with drawn ends and routes."""
    visited: list[str] = []
    task_id: str | None = found.first
    while task_id is not None:
        visited.append(task_id)
        assert len(visited) <= len(found.tasks), "it does not end"
        status = choose.draw(st.sampled_from(ENDS))
        routes = list(getattr(found.tasks[task_id].task, "routes", []))
        output = {ROUTE_TAKEN: choose.draw(st.sampled_from(routes))} if routes else {}
        after = following(found, task_id, status, output)
        assert after.task_id is None or after.task_id in targets_of(found, task_id)
        assert after.task_id is None or not after.is_failure
        task_id = after.task_id
    return visited


@given(any_list() | forward_list() | plain_list(), st.data())
def test_a_valid_list_ends_and_repeats_nothing(document: dict[str, Any], data: st.DataObject) -> None:
    if is_fine(document):
        visited = walk(plan(document), data)
        assert len(visited) == len(set(visited))


@given(forward_list())
def test_lists_that_lead_forward_are_valid(document: dict[str, Any]) -> None:
    assert list(check_tasks(outline(document), 20)) == []


@given(plain_list())
def test_a_plain_list_runs_in_its_order_and_skips_nothing(document: dict[str, Any]) -> None:
    found = plan(document)
    visited: list[str] = []
    task_id: str | None = found.first
    while task_id is not None:
        visited.append(task_id)
        task_id = following(found, task_id, Status.SUCCESS, {}).task_id
    assert visited == [task["id"] for task in document["tasks"] if task["id"] != "handler"]
    assert is_fine(document)


@given(any_list() | forward_list() | plain_list())
def test_the_checks_see_the_plan_that_runs(document: dict[str, Any]) -> None:
    found = plan(document)
    (flow,) = flows_of(outline(document).list, outline(document).node)
    links = {task.id: [link.target for link in flow.links if link.source.id == task.id] for task in flow.tasks}
    assert [task.id for task in flow.tasks] == list(found.tasks)
    assert {task_id: set(targets) for task_id, targets in links.items()} == {
        task_id: set(targets_of(found, task_id)) for task_id in found.tasks
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.SUCCESS, ("b", False)),
        (Status.FAILED, ("c", False)),
        (Status.TIMED_OUT, ("c", False)),
        (Status.CANCELED, (None, True)),
    ],
)
def test_the_task_after_each_end(status: Status, expected: tuple[str | None, bool]) -> None:
    document = {
        "id": "w",
        "tasks": [{"id": "a", "on_success": {"next": "b"}, "on_error": {"next": "c"}}, {"id": "b"}, {"id": "c"}],
    }
    after = following(plan(document), "a", status, {})
    assert (after.task_id, after.is_failure) == expected


def test_the_nearest_handler_counts() -> None:
    document = {
        "id": "w",
        "config": {"on_error": {"next": "far"}},
        "tasks": [
            {"id": "a", "on_error": {"next": "near"}, "config": {"on_error": {"next": "middle"}}},
            {"id": "b", "config": {"on_error": {"next": "middle"}}},
            {"id": "c"},
            {"id": "far"},
            {"id": "middle"},
            {"id": "near"},
        ],
    }
    found = plan(document)
    assert [following(found, task, Status.FAILED, {}).task_id for task in "abc"] == ["near", "middle", "far"]
    assert following(found, "far", Status.FAILED, {}).is_failure


def test_a_transition_without_next_ends_the_list() -> None:
    found = plan_of(
        WorkflowConfig.model_validate({"id": "w", "tasks": [{"id": "a", "on_success": {}}, {"id": "b"}]}).tasks,
        ("tasks",),
        on_error=Transition(),
    )
    assert following(found, "a", Status.SUCCESS, {}).task_id is None
    assert following(found, "a", Status.FAILED, {}).is_failure
