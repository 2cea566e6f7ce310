"""Conditions and routes: templates and CEL over the same variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from compozy.config.nodes import YamlPath
from compozy.errors import ExpressionError, SourceLocation, TemplateError
from compozy.task.decide import choose_route, decide
from compozy.task.template_context import TemplateContext

SCOPE = TemplateContext(
    workflow={"id": "w"},
    project={},
    input={"urgent": True, "count": 2, "kind": "urgent", "rule": "input.count > 1 ? 'many' : 'few'"},
    tasks={"a": {"output": {"text": "normal\n", "said": "No idea."}}},
)
PATH = ("tasks", 0, "condition")
ROUTES = ("urgent", "normal", "many", "true", "2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("input.urgent", True),
        ("!input.urgent || input.count > 5", False),
        ("{{ .input.urgent }}", True),
        (" {{ eq .input.count 3 }}\n", False),
        ("{{ if .input.urgent }}true{{ else }}false{{ end }}", True),
    ],
)
def test_decide(text: str, expected: bool) -> None:
    assert decide(text, PATH, SCOPE) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input.kind", "urgent"),
        ("input.count > 1 ? 'many' : 'few'", "many"),
        ("input.urgent", "true"),
        ("input.count", "2"),
        ("input.count * 1.0", "2"),
        ("{{ .input.kind }}", "urgent"),
        ("{{ .tasks.a.output.text }}", "normal"),
    ],
)
def test_choose_route(text: str, expected: str) -> None:
    assert choose_route(text, PATH, SCOPE, ROUTES) == expected


def test_the_result_of_a_template_is_not_code() -> None:
    """The rule is an expression that would result in a route. It is data, and may come from a model."""
    assert SCOPE.input["rule"] == "input.count > 1 ? 'many' : 'few'"
    with pytest.raises(ExpressionError, match="which is not a route"):
        choose_route("{{ .input.rule }}", PATH, SCOPE, ROUTES)


def bare(path: YamlPath) -> Callable[[int], SourceLocation]:
    return lambda offset: SourceLocation(file="a.yaml", line=1, col=offset)


def error_of(text: str, *, route: bool) -> str:
    context = replace(SCOPE, locate=bare)
    with pytest.raises(ExpressionError) as caught:
        _ = choose_route(text, PATH, context, ("urgent", "many")) if route else decide(text, PATH, context)
    return f"{caught.value.message} ({caught.value.hint})"


def test_messages() -> None:
    conditions = ["input.count", "{{ .input.count }}", "{{ .tasks.a.output.said }}", "input.nothing"]
    assert [error_of(text, route=False) for text in conditions] == snapshot(
        [
            "expected true or false, but `input.count` gives a whole number (2) (compare it, such as `a == b`)",
            "expected true or false, but the template gives '2' (compare it, such as `{{ eq .a 1 }}`)",
            "expected true or false, but the template gives 'No idea.' (compare it, such as `{{ eq .a 1 }}`)",
            "input has no 'nothing' (it has urgent, count, kind, rule)",
        ]
    )
    routes = ["'urgnt'", "null", "''", "[1]", "{{ .tasks.a.output.said }}", "{{ .input.count }}.5", "input.nothing"]
    assert [error_of(text, route=True) for text in routes] == snapshot(
        [
            "the condition gives 'urgnt', which is not a route (did you mean 'urgent'?)",
            "the condition gives no route (the routes are many, urgent)",
            "the condition gives no route (the routes are many, urgent)",
            "the condition gives no route (the routes are many, urgent)",
            "the condition gives 'No idea.', which is not a route (the routes are many, urgent)",
            "the condition gives '2.5', which is not a route (the routes are many, urgent)",
            "input has no 'nothing' (it has urgent, count, kind, rule)",
        ]
    )


def test_errors_have_their_location() -> None:
    context = TemplateContext(workflow={}, project={}, input={}, locate=bare)
    for text in ("input.x", "{{ 1 }}"):
        with pytest.raises(ExpressionError) as caught:
            decide(text, PATH, context)
        assert caught.value.location is not None
    with pytest.raises(TemplateError):
        decide("{{ .input.x }}", PATH, context)
