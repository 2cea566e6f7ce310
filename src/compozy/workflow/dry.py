"""A dry run: shows the tasks and prompts without calling models or storing anything; pure.

What a task reads of the results of others is not known before it runs; such a part of a text is shown as it stands in
the template, between `‹` and `›`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from compozy import template
from compozy.config.nodes import YamlPath
from compozy.errors import CompozyError
from compozy.expression import compile as compile_expression
from compozy.task.decide import choose_route, decide
from compozy.task.items import to_items
from compozy.task.kinds.collection import CollectionTask
from compozy.task.next import Plan, PlannedTask, plan_of, planned_inside, route_targets
from compozy.task.registry import kind_of
from compozy.task.template_context import TemplateContext, render_text, render_value
from compozy.task.tree import words_of_error
from compozy.turn import WORKER_S, Turn, current_turn
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.graph import edges_of, inner_plan, words_of

MAX_SHOWN_ITEMS = 20
"""Of a longer list the first items are shown."""
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
# Variables that exist only while a run is executed; `input` and `env` are known, `item` and `index` inside of a
# collection.
_UNKNOWN = frozenset(
    {"tasks", "output", "children", "parent", "error", "signal", "processor", "task", "current", "trigger", "with"}
)

Document = dict[str, Any]


def dry_run(workflow: WorkflowConfig, context: TemplateContext) -> Document:
    """Return what a run of `workflow` would do.

    Args:
        workflow: what would run.
        context: with the checked input of the run.

    Returns:
        `{"workflow_id", "input", "tasks"}`; each task has `id`, `type`, `kind` (as `workflow graph` calls it),
        `follows` (`{"when", "task"}`, and `is_taken` where the route of a router is known), and where there is
        something to say `condition`, `with`, `prompt`, `instructions`, `items`, `signal`, `tasks`. A text with parts
        that are not known holds them between `‹` and `›`.

    Raises:
        ExpressionError: its templates and conditions take longer than a minute of processor time.
    """
    plan = plan_of(workflow.tasks, ("tasks",), on_error=workflow.config.on_error if workflow.config else None)
    with Turn(WORKER_S).taken():
        env = _shown(dict(workflow.env or {}), ("env",), context)
        return {"workflow_id": workflow.id, "input": context.input, "tasks": _list(plan, context.with_env(env))}


def _list(plan: Plan, context: TemplateContext) -> list[Document]:
    follows: dict[str, list[Document]] = {}
    for edge in edges_of(plan):
        follows.setdefault(edge.source, []).append({"when": edge.label, "task": edge.target})
    return [
        _with_follows(_task(planned, context), planned, follows[planned.task.id]) for planned in plan.tasks.values()
    ]


def _with_follows(document: Document, planned: PlannedTask, follows: list[Document]) -> Document:
    route = document.get("condition")
    if route in route_targets(planned.task):
        follows = [{**edge, "is_taken": edge["when"] == route} for edge in follows]
    return {**document, "follows": follows}


def _task(planned: PlannedTask, context: TemplateContext) -> Document:
    current_turn().look()
    task, yaml_path = planned.task, planned.yaml_path
    if task.env:
        context = context.with_env(_shown(dict(task.env), (*yaml_path, "env"), context))
    document: Document = {"id": _shown(task.id, (*yaml_path, "id"), context), "type": task.type, "kind": words_of(task)}
    if task.condition is not None:
        document["condition"] = _condition(task, (*yaml_path, "condition"), context)
    if task.with_ is not None:
        document["with"] = _shown(dict(task.with_), (*yaml_path, "with"), context)
        context = context.with_input(document["with"])
    document |= _own_texts(planned, context)
    if isinstance(task, CollectionTask):
        return {**document, **_collection(planned, task, context)}
    plan = inner_plan(planned)
    if plan is not None:
        return {**document, "tasks": _list(plan, context)}
    inside = [_task(below, context) for below in planned_inside(planned)]
    return {**document, "tasks": inside} if inside else document


def _own_texts(planned: PlannedTask, context: TemplateContext) -> Document:
    """Return the texts that only this kind of task has, by the last part of their keys."""
    kind, shown = kind_of(planned.task), Document()
    written = planned.task.model_dump(by_alias=True, exclude_none=True) if kind.dry_texts or kind.dry_values else {}
    for path in kind.dry_texts:
        value: Any = written
        for key in path:
            value = cast("dict[str, Any]", value or {}).get(key)
        if value is not None:
            shown[path[-1]] = _shown(value, (*planned.yaml_path, *path), context, as_text=True)
    for key in kind.dry_values:
        if key in written:
            shown[key] = _shown(written[key], (*planned.yaml_path, key), context)
    return shown


def _condition(task: Any, path: YamlPath, context: TemplateContext) -> Any:
    """Return what a condition comes to: true, false, a route, or its text when that is not known."""
    text: str = task.condition
    kind = kind_of(task)
    if kind.condition == "accepts" or not _is_known(text, context, is_cel=True):
        return _quote(text) if not template.has_actions(text) else _placeholders(text)
    try:
        if kind.condition == "routes":
            return choose_route(text, path, context, route_targets(task))
        return decide(text, path, context)
    except CompozyError as error:
        return _failed(error)


def _collection(planned: PlannedTask, task: CollectionTask, context: TemplateContext) -> Document:
    items = _shown(task.items, (*planned.yaml_path, "items"), context)
    if isinstance(task.items, str) and not _is_known(task.items, context):
        return {
            "items": items,
            "tasks": [_task(PlannedTask(task=task.task, yaml_path=(*planned.yaml_path, "task")), context)],
        }
    try:
        found = to_items(items)
    except CompozyError as error:
        return {"items": _failed(error), "tasks": []}
    shown = [_item(planned, task, context, item, index) for index, item in enumerate(found[:MAX_SHOWN_ITEMS])]
    return {"items": len(found), "tasks": shown}


def _item(planned: PlannedTask, task: CollectionTask, context: TemplateContext, item: Any, index: int) -> Document:
    roots: dict[str, Any] = {"item": item, "index": index}
    roots |= {name: value for name, value in ((task.item_var, item), (task.index_var, index)) if name is not None}
    below = _task(PlannedTask(task=task.task, yaml_path=(*planned.yaml_path, "task")), context.with_roots(**roots))
    if task.filter is not None:
        path = (*planned.yaml_path, "filter")
        inner = context.with_roots(**roots)
        known = _is_known(task.filter, inner, is_cel=True)
        below["condition"] = _decided(task.filter, path, inner) if known else _quote(task.filter)
    return below


def _decided(text: str, path: YamlPath, context: TemplateContext) -> Any:
    try:
        return decide(text, path, context)
    except CompozyError as error:
        return _failed(error)


def _shown(value: Any, path: YamlPath, context: TemplateContext, *, as_text: bool = False) -> Any:
    """Return `value` with its templates rendered, as far as what they read is known."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value).items()
        return {key: _shown(item, (*path, key), context) for key, item in entries}
    if isinstance(value, (list, tuple)):
        return [_shown(item, (*path, index), context) for index, item in enumerate(cast("list[Any]", value))]
    if not isinstance(value, str) or not template.has_actions(value):
        return value
    if not _is_known(value, context):
        return _placeholders(value, path, context)
    try:
        return render_text(value, path, context) if as_text else render_value(value, path, context)
    except CompozyError as error:
        return _failed(error)


def _is_known(text: str, context: TemplateContext, *, is_cel: bool = False) -> bool:
    """Return whether all that a text reads is known before the run."""
    if not template.has_actions(text) and not is_cel:
        return True
    known = context.roots()
    for path, optional in _references(text):
        root, *rest = path
        if root in _UNKNOWN or root not in known or path[:2] == ("workflow", "exec_id"):
            return False
        data: Any = known[root]
        # A transition may bring what the input does not have.
        if root == "input" and rest and not optional and isinstance(data, Mapping) and rest[0] not in data:
            return False
    return True


def _references(text: str) -> list[tuple[tuple[str, ...], bool]]:
    if template.has_actions(text):
        found = template.compile(text, dialect="compozy").references
    else:
        found = compile_expression(text).references if text.strip() else ()
    return [(reference.path, reference.optional) for reference in found]


def _placeholders(text: str, path: YamlPath = (), context: TemplateContext | None = None) -> str:
    """Return a text with its unknown actions between `‹` and `›`, and the others rendered."""
    if re.search(r"\{\{-?\s*(if|range|with|define|block|template|end|else|\$)", text):
        # Parts of such a template cannot be rendered by themselves.
        return _ACTION.sub(lambda found: _quote(found[1]), text)

    def show(found: re.Match[str]) -> str:
        if context is None or not _is_known(found[0], context):
            return _quote(found[1])
        try:
            return render_text(found[0], path, context)
        except CompozyError:
            return _quote(found[1])

    return _ACTION.sub(show, text)


def _quote(text: str) -> str:
    return f"‹{' '.join(text.split())}›"


def _failed(error: CompozyError) -> str:
    # Of one text; the dry run ends if all its time is over.
    current_turn().look()
    return f"‹error: {words_of_error(error.to_json())}›"
