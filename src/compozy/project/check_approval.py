"""Checks of approval rules: of tools, agents, tasks, MCP servers and the project."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.config.nodes import MappingNode, ScalarNode, YamlPath, node_at
from compozy.errors import Diagnostic, ExpressionSyntaxError
from compozy.expression import compile as compile_expression


def check_approval(node: MappingNode, path: YamlPath) -> Iterator[Diagnostic]:
    """Yield what is wrong with the condition of the approval rule at `path`."""
    when = node_at(node, (*path, "when"))
    if not isinstance(when, ScalarNode) or not isinstance(when.value, str):
        return
    try:
        compile_expression(when.text, locate=when.locate)
    except ExpressionSyntaxError as error:
        yield Diagnostic(location=error.location or when.place, message=error.message, hint=error.hint, code=error.code)
