"""Tasks that a call of a tool runs below the task of the agent: other agents, shared tasks and workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from compozy.agent.config import AgentConfig
from compozy.config.nodes import YamlPath
from compozy.task.kinds.basic import BasicTask
from compozy.task.kinds.workflow import WorkflowTask
from compozy.task.options import TaskBase
from compozy.task.registry import read_tasks
from compozy.task.tree import RunTask, TaskCall, nothing_after
from compozy.tool.config import ToolConfig
from compozy.tool.kind import NestedEnd, NestedRequest

# The prompt comes from a model: it is a value of the template, not a part of it.
_PROMPT = "{{ .with.prompt }}"


@dataclass(frozen=True, kw_only=True)
class ToolTasks:
    """Runs the tasks of one call; see `compozy.tool.kind.NestedTasks`.

    Attributes:
        call: the task of the agent.
        gather: runs bodies at the same time, at most so many, and returns their results in order.
        tool: the tool, with the agents or tasks that it can call.
        name: name of the step of the call.
    """

    call: TaskCall
    run_task: RunTask
    gather: Callable[[Sequence[Callable[[], Awaitable[NestedEnd]]], int], Awaitable[list[NestedEnd]]]
    tool: ToolConfig
    name: str

    async def run(self, requests: Sequence[NestedRequest], /) -> list[NestedEnd]:
        """Run tasks at the same time, and return how they ended, in the order of `requests`."""
        bodies = [partial(self._run, number, request) for number, request in enumerate(requests)]
        if len(bodies) == 1:
            return [await bodies[0]()]
        return await self.gather(bodies, len(bodies))

    async def _run(self, number: int, request: NestedRequest) -> NestedEnd:
        call = self.call
        # `<request>.<index>.<tool>` of the step, which no other call of the task has.
        turn, index, _ = self.name.removeprefix(f"{call.path}.tool.").split(".", 2)
        kind, position, task = self._task(request)
        child = call.child(
            task,
            (*self._place(), kind, position),
            call.context.nested(parent=call.as_parent()),
            number=1 + number,
            child_id=f"call-{turn}-{index}-{number}-{request.target}",
        )
        given = request.given if request.prompt is None else {**request.given, "prompt": request.prompt}
        result = await self.run_task(replace(child, given=given), started=False, on_end=nothing_after)
        end = result.end
        return NestedEnd(path=child.path, status=end.status.value, output=end.output, error=end.error)

    def _task(self, request: NestedRequest) -> tuple[str, int, TaskBase]:
        """Return where the target stands in the tool, its number there, and the task that runs it."""
        for position, agent in enumerate(self.tool.agents):
            if agent["id"] == request.target:
                return "agents", position, _agent_task(agent, request)
        for position, workflow in enumerate(self.tool.workflows):
            if workflow["id"] == request.target:
                task = WorkflowTask(id=request.target, type="workflow", workflow=workflow, timeout=request.timeout_s)
                return "workflows", position, task
        position = [task["id"] for task in self.tool.tasks].index(request.target)
        (task,) = read_tasks([self.tool.tasks[position]])
        limit = {} if request.timeout_s is None else {"timeout": request.timeout_s}
        return "tasks", position, task.model_copy(update=limit)

    def _place(self) -> YamlPath:
        """Return where the tool stands in the workflow file."""
        task: Any = self.call.task
        own = [tool.id for tool in getattr(task, "tools", None) or ()]
        if self.tool.id in own:
            return self.call.at("tools", own.index(self.tool.id))
        if getattr(task, "tool", None) is not None:
            return self.call.at("tool")
        of_agent = [tool.id for tool in (task.agent.tools or ())]
        return self.call.at("agent", "tools", of_agent.index(self.tool.id))


def _agent_task(agent: dict[str, Any], request: NestedRequest) -> BasicTask:
    config = AgentConfig.model_validate(agent)
    output = config.output if request.action_id is None else None
    return BasicTask(
        id=request.target,
        agent=config,
        prompt=_PROMPT if request.action_id is None else None,
        action=request.action_id,
        output=output,
        timeout=request.timeout_s,
    )
