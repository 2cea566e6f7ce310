"""The variables of templates in a run, and their rendering."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from compozy import template
from compozy.config.nodes import YamlPath
from compozy.database.jsontext import dump_json
from compozy.errors import ConversationError, SourceLocation, TemplateRenderError

# A path alone keeps the type of what it names.
_PLAIN_PATH = re.compile(r"\{\{-?\s*\.[\w.-]*\s*-?\}\}")
# Larger floats do not name one whole number.
_EXACT = 2.0**53
Locate = Callable[[YamlPath], Callable[[int], SourceLocation] | None]


def _nowhere(path: YamlPath) -> None:  # noqa: ARG001 - the default of `locate`
    return None


@dataclass(frozen=True, kw_only=True)
class TemplateContext:
    """The data of one run as the templates of one list of tasks see it.

    Args:
        workflow: `id`, `exec_id`, `input`.
        project: `id`, `name`.
        input: of the run, with the `with` of each container, and of the task itself, laid over it.
        env: of the workflow, with those of containers and of the task laid over it.
        tasks: the tasks of this list that have ended; it grows while the list goes on.
        outer: the tasks of the lists around this one, which those of this list hide.
        extra: further roots, such as `item`, `parent`, `error`.
        locate: gives the location in the workflow file of each character of a template, where it is known.
    """

    workflow: Mapping[str, Any]
    project: Mapping[str, Any]
    input: Any
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    outer: Mapping[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    locate: Locate = _nowhere

    def roots(self) -> dict[str, Any]:
        """Return what a template reads, by the first part of its path."""
        return {
            **_ABSENT,
            "input": self.input,
            "tasks": {**self.outer, **self.tasks},
            "workflow": dict(self.workflow),
            "project": dict(self.project),
            "env": dict(self.env),
            **self.extra,
        }

    def with_input(self, given: Mapping[str, Any] | None) -> TemplateContext:
        """Return the context in which `given`, the `with` of a task, lies over the input."""
        if not given:
            return self
        data: Any = self.input
        below = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        return replace(self, input={**below, **given})

    def with_env(self, env: Mapping[str, str]) -> TemplateContext:
        """Return the context in which `env` lies over the environment."""
        return replace(self, env={**self.env, **env}) if env else self

    def with_roots(self, **roots: Any) -> TemplateContext:
        """Return the context with further roots; the tasks stay the same ones."""
        return replace(self, extra={**self.extra, **roots})

    def nested(self, **roots: Any) -> TemplateContext:
        """Return the context of a list inside a container: it sees the tasks around it and has no tasks yet."""
        return replace(self, tasks={}, outer={**self.outer, **self.tasks}, extra={**self.extra, **roots})


# Roots that are always there, so that what reads them is empty and no error.
_ABSENT: dict[str, Any] = {"output": None, "trigger": {}, "tools": {}, "agents": {}}


def render_text(text: str, path: YamlPath, context: TemplateContext) -> str:
    """Return `text` rendered to text.

    Raises:
        TemplateError: with its location in the workflow file.
    """
    if not template.has_actions(text):
        return text
    return _compile(text, path, context).render(context.roots(), missing_key="error")


def render_key(text: str, path: YamlPath, context: TemplateContext) -> str:
    """Return `text` rendered to the key of a conversation.

    Raises:
        TemplateError: with its location in the workflow file.
        ConversationError: a value in it has half of a surrogate pair. Text replaces it, so that different keys would
            become the same one.
    """
    if not template.has_actions(text):
        return text
    escape = template.Escape(quote=_refuse_halves)
    return _compile(text, path, context).render(context.roots(), missing_key="error", escape=escape)


def _refuse_halves(value: str) -> str:
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise ConversationError(
            f"{value!r} cannot be part of a key: names and ids must not contain half of a surrogate pair",
            hint="remove that character from the value that the template of the key reads",
        )
    return value


def render_value(value: Any, path: YamlPath, context: TemplateContext) -> Any:
    """Return `value` with every template in it rendered; a text that is one single action keeps the value's type.

    Raises:
        TemplateError: with its location in the workflow file.
    """
    if isinstance(value, str):
        return _evaluate(value, path, context) if template.has_actions(value) else value
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: render_value(item, (*path, key), context) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [render_value(item, (*path, index), context) for index, item in enumerate(cast("list[Any]", value))]
    return value


def _evaluate(text: str, path: YamlPath, context: TemplateContext) -> Any:
    value = _compile(text, path, context).evaluate(context.roots())
    if not _PLAIN_PATH.fullmatch(text.strip()):
        value = _with_whole_numbers(value)
    try:
        dump_json(value)
    except ValueError as error:
        # Infinity, from a product that is too large: it could not be stored.
        location = (context.locate(path) or _no_location)(0)
        message = "the result holds a number that JSON has no form for"
        raise TemplateRenderError(message, name=_name(path), location=location) from error
    return value


def _with_whole_numbers(value: Any) -> Any:
    """Return a computed value as Go writes it in JSON: a number without a fraction is written without one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in cast("list[Any]", value)]
    return value


def _no_location(offset: int) -> None:  # noqa: ARG001 - stands in for a location in a file
    return None


def _name(path: YamlPath) -> str:
    return ".".join(str(part) for part in path)


def _compile(text: str, path: YamlPath, context: TemplateContext) -> template.Template:
    return template.compile(text, name=_name(path), dialect="compozy", locate=context.locate(path))
