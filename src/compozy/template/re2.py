r"""Translates a regular expression of Go's syntax (RE2) to that of Python's `regex`, or reports Go's error.

RE2 has no look-around and no back-references; what it has means the same in both, but for what is translated here:
`$` and `\z`, `\Q...\E`, `\C`, and `\s`, which does not match a vertical tab in Go.
"""

from __future__ import annotations

import re

import regex

from compozy.repeats import largest_repeat
from compozy.turn import current_turn

MAX_PATTERN = 10_000
MAX_REPEAT = 1000
MAX_NESTING = 100
CACHED_PATTERNS = 256
_CHEAP_PATTERN = 100

_FLAGS = re.compile(r"\(\?([imsU]*)(-[imsU]+)?([:)])")
_NAME = re.compile(r"\(\?P?<([A-Za-z0-9_]+)>")
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_HEX = re.compile(r"\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")
_OCTAL = re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})")
_CLASS = re.compile(r"\\([pP])(?:\{(\^?)([A-Za-z_]+)\}|([A-Z]))")
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")
_POSIX_SETS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7F",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1F\\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\x0b\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_PERL_SETS = {"d": "0-9", "s": "\\t\\n\\f\\r ", "w": "0-9A-Za-z_"}
_PERL_REST = {"D": "\\x00-/:-\\U0010FFFF", "S": "\\x00-\\x08\\x0B\\x0E-\\x1F!-\\U0010FFFF",
              "W": "\\x00-/:-@\\[-\\^`{-\\U0010FFFF"}  # fmt: skip
_WORD = "[0-9A-Za-z_]"
_BOUNDARIES = {
    "b": f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    "B": f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
    "A": r"\A",
    "z": r"\Z",
}
_CONTROLS = {"a": r"\x07", "f": r"\x0C", "n": r"\n", "r": r"\r", "t": r"\t", "v": r"\x0B"}


class PatternError(ValueError):
    """The pattern is none of RE2's; the message is Go's."""

    def __init__(self, kind: str, part: str) -> None:
        super().__init__(f"error parsing regexp: {kind}: `{part}`")


_compiled: dict[str, regex.Pattern[str]] = {}


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Return the compiled pattern; the last 256 are cached.

    Compiling a long pattern, or one with counts, cannot be interrupted, so it leaves the event loop.

    Raises:
        PatternError: it is none of RE2's.
        regex.error: `regex` does not accept it.
    """
    found = _compiled.get(pattern)
    if found is None:
        if len(pattern) > _CHEAP_PATTERN or "{" in pattern:
            current_turn().leave_loop()
        # Flags in the middle of a pattern hold from there on, as in Go, in version 1 of the module's syntax.
        found = _compiled[pattern] = regex.compile(translate(pattern), flags=regex.VERSION1)
        for oldest in list(_compiled)[:-CACHED_PATTERNS]:
            _compiled.pop(oldest, None)
    return found


def translate(pattern: str) -> str:
    """Return the pattern for `regex`; raises PatternError."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError("expression too large", pattern[:20])
    translated = _Translator(pattern).run()
    if largest_repeat(translated) > MAX_REPEAT:
        raise PatternError("invalid repeat count", pattern[:50])
    return translated


class _Translator:
    """One run over a pattern. `multiline` and `lazy` are the flags in force, `stack` those outside of each group."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.parts: list[str] = []
        self.multiline = False
        self.lazy = False
        self.stack: list[tuple[bool, bool]] = []
        self.repeatable = False
        self.repeat_from = -1

    def run(self) -> str:
        """Return the translated pattern."""
        pattern = self.pattern
        while self.at < len(pattern):
            char = pattern[self.at]
            if char in "*+?" or (char == "{" and _REPEAT.match(pattern, self.at)):
                self.repeat(char)
                continue
            self.repeat_from = -1
            self.repeatable = True
            _STEPS.get(char, _Translator.literal)(self)
        if self.stack:
            raise PatternError("missing closing )", pattern)
        return "".join(self.parts)

    def emit(self, text: str, width: int = 1) -> None:
        """Add translated text for `width` characters of the pattern."""
        self.parts.append(text)
        self.at += width

    def literal(self) -> None:
        """Translate a character that stands for itself."""
        char = self.pattern[self.at]
        self.emit(char if char.isalnum() or not char.isascii() else "\\" + char)

    def dot(self) -> None:
        """Translate `.`."""
        self.emit(".")

    def begin(self) -> None:
        """Translate `^`."""
        self.emit("^")

    def end(self) -> None:
        """Translate `$`, which does not match before a last line end in Go."""
        self.emit("$" if self.multiline else r"\Z")

    def either(self) -> None:
        """Translate `|`."""
        self.emit("|")
        self.repeatable = False

    def repeat(self, char: str) -> None:
        """Translate a repetition."""
        start, found = self.at, _REPEAT.match(self.pattern, self.at)
        width = found.end() - start if found and char == "{" else 1
        operator = self.pattern[start : start + width]
        if not self.repeatable:
            raise PatternError("missing argument to repetition operator", operator)
        if found and char == "{":
            self.check_repeat(found, operator)
        lazy = self.pattern.startswith("?", start + width)
        whole = operator + ("?" if lazy else "")
        if self.repeat_from >= 0:
            raise PatternError(
                "invalid nested repetition operator", self.pattern[self.repeat_from : start + len(whole)]
            )
        self.repeat_from = start
        self.emit(operator + ("?" if lazy != self.lazy else ""), len(whole))

    def check_repeat(self, found: re.Match[str], operator: str) -> None:
        """Refuse counts that RE2 does not take."""
        least, comma, most = found.group(1), found.group(2), found.group(3)
        upper = int(most[:6]) if most else int(least[:6])
        if int(least[:6]) > MAX_REPEAT or upper > MAX_REPEAT or (comma and most and int(most) < int(least)):
            raise PatternError("invalid repeat count", operator)

    def group(self) -> None:
        """Translate the start of a group, or flags."""
        if len(self.stack) >= MAX_NESTING:
            raise PatternError("expression nests too deeply", self.pattern[:50])
        self.repeatable = False
        if not self.pattern.startswith("(?", self.at):
            self.stack.append((self.multiline, self.lazy))
            self.emit("(")
            return
        named = _NAME.match(self.pattern, self.at)
        if named:
            self.open_named(named)
            return
        flags = _FLAGS.match(self.pattern, self.at)
        if flags is None or (flags.group() == "(?)"):
            self.refuse_group()
            return
        self.open_flags(flags)

    def open_named(self, named: re.Match[str]) -> None:
        """Translate the start of a group with a name."""
        self.stack.append((self.multiline, self.lazy))
        # Go takes names that begin with a digit, and the same name twice: groups are known by number here.
        self.emit("(", named.end() - self.at)

    def refuse_group(self) -> None:
        """Raise the error for a group that RE2 does not have."""
        rest = self.pattern[self.at :]
        if rest.startswith(("(?P<", "(?<")):
            raise PatternError("invalid named capture", "".join(rest.partition(">")[:2]))
        known = re.match(r"\(\?[imsU\-]*", rest)
        width = known.end() + 1 if known else 3
        if len(rest) < width:
            raise PatternError("missing closing )", self.pattern)
        raise PatternError("invalid or unsupported Perl syntax", rest[:width])

    def open_flags(self, flags: re.Match[str]) -> None:
        """Translate flags, for a group or for the rest of the group that they stand in."""
        on, off, kind = flags.group(1), flags.group(2) or "", flags.group(3)
        outer = self.multiline, self.lazy
        self.multiline = "m" in on or (self.multiline and "m" not in off)
        self.lazy = "U" in on or (self.lazy and "U" not in off)
        on, off = on.replace("U", ""), off.replace("U", "")
        switched = on + (off if len(off) > 1 else "")
        width = flags.end() - self.at
        if kind == ":":
            self.stack.append(outer)
            self.emit(f"(?{switched}:", width)
        elif switched:
            # Flags in the middle hold up to the end of the group; in `regex` they need a separate group.
            self.emit(f"(?{switched})", width)
        else:
            self.emit("", width)

    def close(self) -> None:
        """Translate `)`."""
        if not self.stack:
            raise PatternError("unexpected )", self.pattern)
        self.multiline, self.lazy = self.stack.pop()
        self.emit(")")

    def escape(self) -> None:
        """Translate an escape outside of a set."""
        char = self.pattern[self.at + 1 : self.at + 2]
        if char == "Q":
            self.quoted()
        elif char in _BOUNDARIES and char:
            self.emit(_BOUNDARIES[char], 2)
        elif char in _PERL_SETS and char:
            self.emit(f"[{_PERL_SETS[char]}]", 2)
        elif char in _PERL_REST and char:
            self.emit(f"[^{_PERL_SETS[char.lower()]}]", 2)
        elif char == "C":
            self.emit("(?s:.)", 2)
        else:
            text, width = self.escaped()
            self.emit(text, width)

    def quoted(self) -> None:
        r"""Translate `\Q...\E`."""
        end = self.pattern.find(r"\E", self.at)
        text = self.pattern[self.at + 2 : end if end >= 0 else None]
        self.repeatable = bool(text)
        self.emit(re.escape(text), len(text) + (4 if end >= 0 else 2))

    def escaped(self) -> tuple[str, int]:
        """Return the translation of an escape that also stands in sets, and its width."""
        pattern, at = self.pattern, self.at
        char = pattern[at + 1 : at + 2]
        if not char:
            raise PatternError("trailing backslash at end of expression", "")
        if found := _HEX.match(pattern, at):
            return self.code(int(found.group(1) or found.group(2), 16), found)
        if found := _OCTAL.match(pattern, at):
            return self.code(int(found.group(1), 8), found)
        if found := _CLASS.match(pattern, at):
            return self.unicode_class(found)
        if char in _CONTROLS:
            return _CONTROLS[char], 2
        if char.isascii() and not char.isalnum():
            return "\\" + char, 2
        if char in "pP":
            raise PatternError("invalid character class range", pattern[at:].partition("}")[0])
        raise PatternError("invalid escape sequence", pattern[at : at + 2])

    def code(self, code: int, found: re.Match[str]) -> tuple[str, int]:
        """Return the escape for a character code."""
        if code > 0x10FFFF:
            raise PatternError("invalid escape sequence", found.group())
        return f"\\U{code:08x}", found.end() - found.start()

    def unicode_class(self, found: re.Match[str]) -> tuple[str, int]:
        r"""Return a class of Unicode such as `\pL` or `\p{Greek}`."""
        name = found.group(3) or found.group(4)
        if not _knows_class(name):
            raise PatternError("invalid character class range", found.group())
        negative = (found.group(1) == "P") != bool(found.group(2))
        return f"\\{'P' if negative else 'p'}{{{name}}}", found.end() - found.start()

    def character_set(self) -> None:
        """Translate `[...]`."""
        pattern, start = self.pattern, self.at
        self.at += 1
        parts = ["["]
        if pattern.startswith("^", self.at):
            parts.append("^")
            self.at += 1
        first = True
        while self.at < len(pattern) and (first or pattern[self.at] != "]"):
            parts.append(self.set_item(start))
            first = False
        if self.at >= len(pattern):
            raise PatternError("missing closing ]", pattern[start:])
        self.emit("".join(parts) + "]")

    def set_item(self, start: int) -> str:
        """Return the next part of a set: a named class, a character or a range."""
        pattern = self.pattern
        posix = _POSIX.match(pattern, self.at)
        if posix:
            return self.posix_class(posix)
        escaped = pattern[self.at + 1 : self.at + 2] if pattern[self.at] == "\\" else ""
        if escaped and escaped in "dswDSW":
            self.at += 2
            return _PERL_SETS.get(escaped) or _PERL_REST[escaped]
        if escaped in ("p", "P") and escaped:
            text, width = self.escaped()
            self.at += width
            return text
        begin = self.at
        low = self.set_char(start)
        if not (pattern.startswith("-", self.at) and pattern[self.at + 1 : self.at + 2] not in ("]", "")):
            return low
        self.at += 1
        high = self.set_char(start)
        if _code_of(high) < _code_of(low):
            raise PatternError("invalid character class range", pattern[begin : self.at])
        return f"{low}-{high}"

    def posix_class(self, posix: re.Match[str]) -> str:
        """Return a class such as `[:alpha:]`."""
        if posix.group(2) not in _POSIX_SETS:
            raise PatternError("invalid character class range", posix.group())
        self.at = posix.end()
        if posix.group(1):
            return posix.group()
        return _POSIX_SETS[posix.group(2)]

    def set_char(self, start: int) -> str:
        """Return one character of a set."""
        if self.at >= len(self.pattern):
            raise PatternError("missing closing ]", self.pattern[start:])
        char = self.pattern[self.at]
        if char == "\\":
            text, width = self.escaped()
            self.at += width
            return text
        self.at += 1
        return char if char.isalnum() or not char.isascii() or char in " _" else "\\" + char


def _knows_class(name: str) -> bool:
    try:
        regex.compile(rf"\p{{{name}}}")
    except regex.error:
        return False
    return True


def _code_of(text: str) -> int:
    """Return the code of a character of a set as it was translated."""
    controls = {"\\n": 10, "\\r": 13, "\\t": 9}
    if text in controls:
        return controls[text]
    if text[:2] in (r"\x", r"\U"):
        return int(f"0x{text[2:]}", 0)
    return ord(text[-1])


_STEPS = {
    ".": _Translator.dot,
    "^": _Translator.begin,
    "$": _Translator.end,
    "|": _Translator.either,
    "(": _Translator.group,
    ")": _Translator.close,
    "\\": _Translator.escape,
    "[": _Translator.character_set,
}
