"""Results of task conditions; pure, so that a replay gets the same answer.

A text with `{{` is a template, any other one is CEL. Both see the same variables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from compozy import template
from compozy.config.nodes import YamlPath
from compozy.errors import ExpressionError, SourceLocation
from compozy.expression import evaluate, evaluate_condition
from compozy.nearest import suggest
from compozy.task.template_context import TemplateContext, render_text

_LONGEST_SHOWN = 60


def decide(text: str, path: YamlPath, context: TemplateContext) -> bool:
    """Return whether the condition `text`, which is written at `path`, is true; a blank one is.

    Args:
        text: a template that gives `true` or `false`, or CEL.
        path: such as `("tasks", 0, "condition")`.
        context: what it reads, and where it stands in its file.

    Raises:
        ExpressionError: it gives something else, or cannot be evaluated.
        TemplateError: it cannot be rendered.
    """
    locate = context.locate(path)
    if not template.has_actions(text):
        return evaluate_condition(text, context.roots(), name=_name(path), locate=locate)
    rendered = render_text(text, path, context).strip()
    if rendered not in {"true", "false"}:
        message = f"expected true or false, but the template gives {_show(rendered)}"
        raise _error(message, path, locate, hint="compare it, such as `{{ eq .a 1 }}`")
    return rendered == "true"


def choose_route(text: str, path: YamlPath, context: TemplateContext, routes: Collection[str]) -> str:
    """Return the one of `routes` that the condition `text` of a router gives.

    What a template gives is the route itself, and never CEL: a model may have written it.

    Args:
        text: a template or CEL.
        path: such as `("tasks", 0, "condition")`.
        context: what it reads, and where it stands in its file.
        routes: the keys of the routes.

    Raises:
        ExpressionError: it gives no route, or cannot be evaluated.
        TemplateError: it cannot be rendered.
    """
    locate = context.locate(path)
    if not template.has_actions(text):
        return _route_of(evaluate(text, context.roots(), name=_name(path), locate=locate), path, locate, routes)
    return _route_of(render_text(text, path, context).strip(), path, locate, routes)


def _route_of(
    value: Any, path: YamlPath, locate: Callable[[int], SourceLocation] | None, routes: Collection[str]
) -> str:
    route = _text_of(value)
    if route not in routes:
        raise _no_route(route, path, locate, routes)
    return route


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() if isinstance(value, (str, int, float)) else ""


def _no_route(
    route: str, path: YamlPath, locate: Callable[[int], SourceLocation] | None, routes: Collection[str]
) -> ExpressionError:
    message = f"the condition gives {_show(route)}, which is not a route" if route else "the condition gives no route"
    known = ", ".join(sorted(routes))
    return _error(message, path, locate, hint=suggest(route, routes) or f"the routes are {known}")


def _error(
    message: str, path: YamlPath, locate: Callable[[int], SourceLocation] | None, *, hint: str = ""
) -> ExpressionError:
    location = locate(0) if locate else None
    return ExpressionError(
        message if location else f"{_name(path)}: {message}", name=_name(path), location=location, hint=hint
    )


def _show(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "...")


def _name(path: YamlPath) -> str:
    return ".".join(str(part) for part in path)
