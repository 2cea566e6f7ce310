"""`type: parallel`: tasks that run at the same time."""

from __future__ import annotations

from compozy.task.children import Pool, begin_children, outcome_of
from compozy.task.kinds.parallel import ParallelTask
from compozy.task.replay import recall_all
from compozy.task.tree import Outcome, Recall, Runner, RunTask, TaskCall, TaskResult


async def run_parallel(call: TaskCall, task: ParallelTask, run_task: RunTask) -> Outcome:
    """Run all of them, `max_workers` concurrently."""
    children = parallel_children(call, task)
    await begin_children(call, children)
    results = await Pool(children=children, strategy=task.strategy, workers=task.max_workers, run_task=run_task).run()
    return outcome_of(task.strategy, {"outputs": {key: found.end.output for key, found in results.items()}}, results)


def parallel_children(call: TaskCall, task: ParallelTask) -> list[TaskCall]:
    """Return the tasks inside it. They do not see one another: which of them ends first is chance."""
    return [
        call.child(
            below, (*call.yaml_path, "tasks", number), call.context.nested(parent=call.as_parent()), number=number
        )
        for number, below in enumerate(task.tasks)
    ]


async def _replay(call: TaskCall, task: ParallelTask, recall: Recall) -> dict[str, TaskResult]:
    return await recall_all(parallel_children(call, task), recall)


RUNNER = Runner(run=run_parallel, replay=_replay)
