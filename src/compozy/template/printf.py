"""Go's `fmt.Sprintf`: reads the layout and hands each verb its argument."""

from __future__ import annotations

from typing import Any

from compozy.template.printing import show
from compozy.template.values import INVALID, LimitError, is_int, type_name
from compozy.template.verbs import NIL, Spec, format_argument

MAX_TEXT = 10 * 1024 * 1024
_MAX_NUMBER = 1_000_000
_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}


def sprintf(layout: str, *values: Any) -> str:
    """Return the values as the layout says; wrong verbs and missing values are reported in the text, as in Go."""
    if "%" not in layout and not values:
        return layout
    return _Printer(layout, values).run()


class _Printer:
    """One run over a layout: `at` is the place in it, `used` the number of the next argument."""

    def __init__(self, layout: str, values: tuple[Any, ...]) -> None:
        self.layout = layout
        self.values = values
        self.last_close = layout.rfind("]")
        self.at = 0
        self.used = 0
        self.size = 0
        self.reordered = False
        self.good_index = True
        self.after_index = False
        self.parts: list[str] = []

    def run(self) -> str:
        """Return the whole text."""
        layout = self.layout
        while self.at < len(layout):
            percent = layout.find("%", self.at)
            end = len(layout) if percent < 0 else percent
            self.write(layout[self.at : end])
            self.at = end + 1
            if percent >= 0:
                self.good_index, self.after_index = True, False
                self.verb()
        if not self.reordered and self.used < len(self.values):
            self.write_extra()
        return "".join(self.parts)

    def write(self, text: str) -> None:
        """Add to the text, which has a bound."""
        self.size += len(text)
        if self.size > MAX_TEXT:
            raise LimitError(f"text of more than {MAX_TEXT} characters")
        self.parts.append(text)

    def verb(self) -> None:
        """Read one verb with its flags, width and precision, and write its argument."""
        spec = Spec()
        while self.peek() in _FLAGS:
            setattr(spec, _FLAGS[self.peek()], True)
            self.at += 1
        self.index()
        self.width(spec)
        if self.peek() == "." and self.at + 1 < len(self.layout):
            self.precision(spec)
        if not self.after_index:
            self.index()
        if self.at >= len(self.layout):
            self.write("%!(NOVERB)")
            return
        verb = self.peek()
        self.at += 1
        self.write(self.argument(verb, spec))

    def peek(self) -> str:
        """Return the next character of the layout, "" at its end."""
        return self.layout[self.at : self.at + 1]

    def width(self, spec: Spec) -> None:
        """Read a width."""
        if self.peek() != "*":
            spec.wid = self.number()
            if self.after_index and spec.wid is not None:
                self.good_index = False
            return
        spec.wid = self.number_argument()
        if spec.wid is None:
            self.write("%!(BADWIDTH)")
        elif spec.wid < 0:
            spec.wid, spec.minus, spec.zero = -spec.wid, True, False

    def precision(self, spec: Spec) -> None:
        """Read a precision."""
        self.at += 1
        if self.after_index:
            self.good_index = False
        self.index()
        if self.peek() != "*":
            spec.prec = self.number() or 0
            return
        spec.prec = self.number_argument()
        if spec.prec is None or spec.prec < 0:
            spec.prec = None
            self.write("%!(BADPREC)")

    def number(self) -> int | None:
        """Read a number; None when there is none. One that is too large swallows the rest, as in Go."""
        start = self.at
        while self.peek() and self.peek() in "0123456789":
            if int(self.layout[start : self.at] or "0") > _MAX_NUMBER:
                self.at = len(self.layout)
                return None
            self.at += 1
        return int(self.layout[start : self.at]) if self.at > start else None

    def number_argument(self) -> int | None:
        """Read the `*` of a width or precision; return the argument for it when that is a fitting whole number."""
        self.at += 1
        self.after_index = False
        if self.used >= len(self.values):
            return None
        value = self.values[self.used]
        self.used += 1
        return int(value) if is_int(value) and abs(value) <= _MAX_NUMBER else None

    def index(self) -> None:
        """Read the number of an argument: `[2]`."""
        self.after_index = False
        if self.peek() != "[":
            return
        self.reordered = True
        close = self.layout.find("]", self.at) if self.at < self.last_close else -1
        if len(self.layout) - self.at < 3 or close < 0:
            self.good_index = False
            self.at += 1
            return
        digits = self.layout[self.at + 1 : close]
        self.at = close + 1
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 8
        self.after_index = is_number
        if is_number and 1 <= int(digits) <= len(self.values):
            self.used = int(digits) - 1
        else:
            self.good_index = False

    def argument(self, verb: str, spec: Spec) -> str:
        """Return the text of the next argument."""
        if verb == "%":
            return "%"
        if not self.good_index:
            return f"%!{verb}(BADINDEX)"
        if self.used >= len(self.values):
            return f"%!{verb}(MISSING)"
        if verb in "vw":
            spec.sharp_v, spec.sharp = spec.sharp, False
            spec.plus_v, spec.plus = spec.plus, False
        value = self.values[self.used]
        self.used += 1
        return format_argument(value, verb, spec)

    def write_extra(self) -> None:
        """Report surplus arguments."""
        extra = ", ".join(
            NIL if value is None or value is INVALID else f"{type_name(value)}={show(value)}"
            for value in self.values[self.used :]
        )
        self.write(f"%!(EXTRA {extra})")
