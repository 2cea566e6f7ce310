"""What the templates of a run may read, and how they are rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from compozy import template
from compozy.database.jsontext import dump_json
from compozy.errors import Place, TemplateRenderError

# Path of a template in its workflow, such as ("tasks", 0, "prompt").
TemplatePath = tuple[str | int, ...]
Locate = Callable[[TemplatePath], Callable[[int], Place] | None]


def _nowhere(path: TemplatePath) -> None:  # noqa: ARG001 - the default of `locate`
    return None


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The data of one run as its templates see it; `tasks` grows while the run goes on.

    Args:
        workflow: `id`, `exec_id`, `input`.
        locate: gives the place in the workflow file of each character of a template, where it is known.
    """

    workflow: Mapping[str, Any]
    project: Mapping[str, Any]
    input: Any
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    locate: Locate = _nowhere

    def roots(self, task_input: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the root of the templates; a task's `with` lies over the input of the run."""
        data: Any = self.input
        if task_input:
            below = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
            data = {**below, **task_input}
        return {
            "input": data,
            "tasks": self.tasks,
            "workflow": dict(self.workflow),
            "project": dict(self.project),
            "env": {},
        }


def render_text(text: str, path: TemplatePath, scope: Scope, task_input: Mapping[str, Any] | None = None) -> str:
    """Return `text` rendered to text.

    Raises:
        TemplateError: with its place in the workflow file.
    """
    if not template.has_actions(text):
        return text
    return _compile(text, path, scope).render(scope.roots(task_input), missing_key="error")


def render_value(value: Any, path: TemplatePath, scope: Scope) -> Any:
    """Return `value` with every template in it rendered; a text that is one single action keeps the value's type.

    Raises:
        TemplateError: with its place in the workflow file.
    """
    if isinstance(value, str):
        return _evaluate(value, path, scope) if template.has_actions(value) else value
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: render_value(item, (*path, key), scope) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [render_value(item, (*path, index), scope) for index, item in enumerate(cast("list[Any]", value))]
    return value


def _evaluate(text: str, path: TemplatePath, scope: Scope) -> Any:
    value = _compile(text, path, scope).evaluate(scope.roots())
    try:
        dump_json(value)
    except ValueError as error:
        # Infinity, from a product that is too large: it could not be stored.
        place = (scope.locate(path) or _no_place)(0)
        message = "the result holds a number that JSON has no form for"
        raise TemplateRenderError(message, name=_name(path), place=place) from error
    return value


def _no_place(offset: int) -> None:  # noqa: ARG001 - stands in for a place in a file
    return None


def _name(path: TemplatePath) -> str:
    return ".".join(str(part) for part in path)


def _compile(text: str, path: TemplatePath, scope: Scope) -> template.Template:
    return template.compile(text, name=_name(path), dialect="compozy", locate=scope.locate(path))
