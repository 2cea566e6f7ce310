"""The front of the language: compile a text, render it, evaluate it, ask what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from compozy.errors import SourceLocation, TemplateError, TemplateRenderError, TemplateSyntaxError
from compozy.template.limits import DEFAULT_LIMITS, Limits
from compozy.template.machine import Dialect, MissingKey
from compozy.template.program import Program, ProgramError, compile_program
from compozy.template.references import Reference, find_references
from compozy.template.values import to_python

Locate = Callable[[int], SourceLocation]
_Error = TypeVar("_Error", bound=TemplateError)


class Template:
    """A compiled template; `compile` makes it. It holds no data and may be used by several threads at once."""

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
        """Whether the text is one single action without text around it, so that `evaluate` gives its value."""
        return self._program.value is not None

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every path of fields that the template reads from the root of the data, in the order of the text."""
        return find_references(self._program, self._locate)

    def render(self, data: Any, *, missing_key: MissingKey = "default", limits: Limits = DEFAULT_LIMITS) -> str:
        """Return the text for the data, which is never changed; raises TemplateRenderError.

        `missing_key` is Go's option and counts in dialect go only.
        """
        try:
            return self._program.run(data, missing_key, limits)
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
    """Return the compiled template; raises TemplateSyntaxError.

    `name` stands in messages. `locate` gives the place in a file for an offset in `text`; errors then carry it.
    In dialect go messages are Go's, with its account of the place. In dialect compozy they are bare where a place is
    known, since whoever shows them shows the place.
    """
    try:
        return Template(compile_program(text, name, dialect), locate)
    except ProgramError as error:
        raise _make_error(TemplateSyntaxError, error, name, text, locate, go=dialect == "go") from error.__cause__


def has_actions(text: str) -> bool:
    """Tell whether the text holds anything to render."""
    return "{{" in text


def _make_error(
    kind: type[_Error], error: ProgramError, name: str, text: str, locate: Locate | None, *, go: bool
) -> _Error:
    """Return the public error: with Go's prefix in dialect go, or where no place tells the position."""
    line = col = 0
    location = None
    if error.offset >= 0:
        line = 1 + text.count("\n", 0, error.offset)
        col = error.offset - text.rfind("\n", 0, error.offset)
        location = locate(error.offset) if locate else None
    prefix = error.go_place if go or location is None else ""
    return kind(prefix + error.message, name=name, line=line, col=col, location=location, hint=error.hint)
