"""`type: collection`: one task for each item of a list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy import template
from compozy.database.status import Status
from compozy.database.tasks import insert_pending_tasks
from compozy.durable.context import current_run
from compozy.durable.step import transact
from compozy.errors import ItemsError
from compozy.plural import plural
from compozy.schema.worker import compute
from compozy.task.children import Pool, outcome_of
from compozy.task.decide import decide
from compozy.task.items import to_items
from compozy.task.kinds.collection import CollectionTask
from compozy.task.options import TASK_ID_PATTERN
from compozy.task.replay import recall_all
from compozy.task.template_context import TemplateContext, render_text, render_value
from compozy.task.tree import Outcome, Recall, Runner, RunTask, TaskCall, TaskResult

_ID = re.compile(TASK_ID_PATTERN)


async def run_collection(call: TaskCall, task: CollectionTask, run_task: RunTask) -> Outcome:
    """Run the task for each item, up to a limit concurrently, batch by batch."""
    expanded = await _expand(call, task)
    children = _children(call, task, expanded)
    results: dict[str, TaskResult] = {}
    workers = 1 if task.mode == "sequential" else task.max_workers
    size = task.batch or max(len(children), 1)
    for first in range(0, len(children), size):
        pool = Pool(children=children[first : first + size], strategy=task.strategy, workers=workers, run_task=run_task)
        results.update(await pool.run())
        if _ends_early(task, pool):
            break
    results |= {child.id: TaskResult.canceled(child) for child in children if child.id not in results}
    output = _output(expanded, results)
    outcome = outcome_of(task.strategy, output, results)
    return replace(outcome, roots={**outcome.roots, "results": output["results"]})


def _ends_early(task: CollectionTask, pool: Pool) -> bool:
    """Return whether no further batch starts: a race is won, or with `fail_fast` one failed."""
    status = pool.decided()
    return (task.strategy, status) in {("race", Status.SUCCESS), ("fail_fast", Status.FAILED)}


async def _expand(call: TaskCall, task: CollectionTask) -> dict[str, Any]:
    """Return `{"items", "ids", "skipped"}`, and store a task for each item, once."""
    name = f"{call.base}.items"
    # Before the transaction, which must be short, and only once: templates may read the time of day.
    found = {} if current_run().is_recorded(name) else await compute(partial(_evaluate, call, task))

    def expand(connection: sa.Connection) -> dict[str, Any]:
        insert_pending_tasks(connection, [child.row() for child in _children(call, task, found)])
        return found

    return await transact(name, expand)


def _evaluate(call: TaskCall, task: CollectionTask) -> dict[str, Any]:
    with _at(call, "items"):
        items = to_items(render_value(task.items, (*call.yaml_path, "items"), call.context))
    kept = [item for index, item in enumerate(items) if _is_kept(call, task, item, index)]
    with _at(call, "task", "id"):
        ids = [_child_id(call, task, item, index) for index, item in enumerate(kept)]
        twice = [child_id for child_id, count in Counter(ids).items() if count > 1]
        if twice:
            raise ItemsError(
                f"{plural(len(twice), 'task ID')} of the collection used more than once, such as {twice[0]!r}",
                hint="put something of the item into the `id` that no other item has, or {{ .index }}",
            )
    return {"items": kept, "ids": ids, "skipped": len(items) - len(kept)}


@contextmanager
def _at(call: TaskCall, *key: str) -> Generator[None, None, None]:
    """Report invalid items with their location in the file."""
    try:
        yield
    except ItemsError as error:
        locate = call.context.locate((*call.yaml_path, *key))
        if locate is None:
            raise
        raise ItemsError(error.message, hint=error.hint, details={"place": str(locate(0))}) from error


def _is_kept(call: TaskCall, task: CollectionTask, item: Any, index: int) -> bool:
    if task.filter is None:
        return True
    context = _item_context(call, task, item, index)
    return decide(task.filter, (*call.yaml_path, "filter"), context)


def _child_id(call: TaskCall, task: CollectionTask, item: Any, index: int) -> str:
    written = task.task.id
    if not template.has_actions(written):
        return f"{written}-{index}"
    found = render_text(written, (*call.yaml_path, "task", "id"), _item_context(call, task, item, index))
    if not _ID.match(found):
        raise ItemsError(
            f"the id of the task for item {index} is {found!r:.150}; ids have letters, digits, `_` and `-`, at most "
            "128, the first a letter or `_`",
            hint="write for example `id: item-{{ .index }}`",
        )
    return found


def _item_context(call: TaskCall, task: CollectionTask, item: Any, index: int) -> TemplateContext:
    roots: dict[str, Any] = {"item": item, "index": index}
    if task.item_var is not None:
        roots[task.item_var] = item
    if task.index_var is not None:
        roots[task.index_var] = index
    return call.context.nested(parent=call.as_parent(), **roots)


def _children(call: TaskCall, task: CollectionTask, expanded: dict[str, Any]) -> list[TaskCall]:
    inherited = call.shown.get("with")
    yaml_path = (*call.yaml_path, "task")
    child_of = partial(call.child, task.task, yaml_path)
    return [
        replace(child_of(_item_context(call, task, item, index), number=index, child_id=child_id), inherited=inherited)
        for index, (item, child_id) in enumerate(zip(expanded["items"], expanded["ids"], strict=True))
    ]


def _output(expanded: dict[str, Any], results: dict[str, TaskResult]) -> dict[str, Any]:
    return {
        "results": [result.end.output for result in results.values()],
        "item_count": len(expanded["items"]),
        "skipped_count": expanded["skipped"],
    }


async def _replay(call: TaskCall, task: CollectionTask, recall: Recall) -> dict[str, TaskResult]:
    if not current_run().is_recorded(f"{call.base}.items"):
        return {}
    return await recall_all(_children(call, task, await _expand(call, task)), recall)


RUNNER = Runner(run=run_collection, replay=_replay)
