"""Compiles, renders and evaluates templates, and finds the data that they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from compozy.errors import SourceLocation, TemplateError, TemplateRenderError, TemplateSyntaxError
from compozy.template.limits import DEFAULT_LIMITS, Limits
from compozy.template.machine import Dialect, Escape, MissingKey
from compozy.template.program import Program, ProgramError, compile_program
from compozy.template.references import Reference, find_references
from compozy.template.values import to_python

Locate = Callable[[int], SourceLocation]
_Error = TypeVar("_Error", bound=TemplateError)


class Template:
    """A compiled template, from `compile`. It holds no data and is safe for concurrent use by several threads."""

    __slots__ = ("_locate", "_program")

    def __init__(self, program: Program, locate: Locate | None) -> None:
        self._program = program
        self._locate = locate

    @property
    def text(self) -> str:
        """The text that was compiled."""
        return self._program.text

    @property
    def is_single_action(self) -> bool:
        """Whether the text is a single action without text around it, so that `evaluate` returns its value."""
        return self._program.value is not None

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every path of fields that the template reads from the root of the data, in text order."""
        return find_references(self._program, self._locate)

    def render(
        self,
        data: Any,
        *,
        missing_key: MissingKey = "default",
        limits: Limits = DEFAULT_LIMITS,
        escape: Escape | None = None,
    ) -> str:
        """Render the template with the data, which is never changed; raises TemplateRenderError.

        `missing_key` is Go's option and is used in dialect go only. `escape` changes the values that actions print.
        """
        try:
            return self._program.run(data, missing_key, limits, escape)
        except ProgramError as error:
            raise self._render_error(error) from error.__cause__

    def evaluate(self, data: Any, *, missing_key: MissingKey = "default", limits: Limits = DEFAULT_LIMITS) -> Any:
        """Return the value of a single action with its type, else the rendered text; raises TemplateRenderError."""
        if self._program.value is None:
            return self.render(data, missing_key=missing_key, limits=limits)
        try:
            return to_python(self._program.evaluate(data, missing_key, limits))
        except ProgramError as error:
            raise self._render_error(error) from error.__cause__

    def _render_error(self, error: ProgramError) -> TemplateRenderError:
        go = self._program.dialect == "go"
        return _make_error(TemplateRenderError, error, self._program.name, self.text, self._locate, go=go)


def compile(  # noqa: A001 - as re.compile: called as template.compile
    text: str, *, name: str = "template", dialect: Dialect = "go", locate: Locate | None = None
) -> Template:
    """Compile a template; raises TemplateSyntaxError.

    `name` is used in messages. `locate` maps an offset in `text` to its location in a file; errors then carry it. In
    dialect go, messages are Go's and include the location. In dialect compozy they omit a known location, which callers
    show themselves.
    """
    try:
        return Template(compile_program(text, name, dialect), locate)
    except ProgramError as error:
        raise _make_error(TemplateSyntaxError, error, name, text, locate, go=dialect == "go") from error.__cause__


def has_actions(text: str) -> bool:
    """Return whether the text contains anything to render."""
    return "{{" in text


def _make_error(
    kind: type[_Error], error: ProgramError, name: str, text: str, locate: Locate | None, *, go: bool
) -> _Error:
    """Return the public error, with Go's prefix in dialect go or without a location."""
    line = col = 0
    location = None
    if error.offset >= 0:
        line = 1 + text.count("\n", 0, error.offset)
        col = error.offset - text.rfind("\n", 0, error.offset)
        location = locate(error.offset) if locate else None
    prefix = error.go_place if go or location is None else ""
    return kind(prefix + error.message, name=name, line=line, col=col, location=location, hint=error.hint)
