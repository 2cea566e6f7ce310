"""Language rules that a machine can check, applied to pages and to texts of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, read_page
from tests.generated.sources import nodes_of, statements_of, text_of

MAX_FIRST_SENTENCE = 20
"""Words of the first sentence of a page."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Words to avoid, and the words to write instead."""

    name: str
    pattern: re.Pattern[str]
    instead: str


@dataclass(frozen=True, kw_only=True)
class Text:
    """One paragraph, message or first line of a docstring, with its location."""

    path: Path
    line: int
    text: str

    @property
    def location(self) -> str:
        """Return `file:line`."""
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}"


def _rule(name: str, pattern: str, instead: str) -> Rule:
    return Rule(name=name, pattern=re.compile(pattern, re.IGNORECASE), instead=instead)


# A sentence starts a text, or follows the end of another one.
_START = r"(?:^|(?<=[.!?:|] )|(?<=[.!?] \())(?:[-*|] +)?(?:\*\*)?"
RULES = (
    _rule(
        "is no X", r"\b(?:is|are|was|were|be) no\b(?! longer| more than| less than)", "is not an X, X does not exist"
    ),
    _rule("go on", r"\b(?:go|goes|going|went|gone) on\b", "continue, resume, is still running"),
    _rule("tell", r"\b(?:tell|tells|told|telling)\b", "report, print, show, log, describe"),
    _rule("What ...", _START + r"(?-i:What|Whatever|Whoever|Who) [^?]*(?:[.|;:]|$)(?!\?)", "a noun as the subject"),
    _rule("whoever", r"\b(?:whoever|somebody|nobody)\b", "the process, the command, you"),
    _rule("mistake", r"\b(?:mistakes?|misfits?|faults?)\b", "error, mismatch"),
    _rule("at once", r"\b(?:at once|at one time)\b", "concurrently, immediately"),
    _rule("anew", r"\banew\b", "again"),
    _rule("beside", r"\bbeside\b", "next to, alongside, besides"),
    _rule("of its own", r"\bof (?:its|their|your|our|my|one's) own\b|\bof (?:ours|yours|theirs)\b", "its own X"),
    _rule("dead", r"\b(?:taken for dead|bur(?:y|ied)|(?:lay|lays|laid) aside)\b", "lease expired, suspend"),
    _rule("come about", r"\bc(?:a|o)me about\b|\bcame to\b", "fail to X, result"),
    _rule("in order", r"\b(?:ends?|stops?|ended|stopped|shut down) in order\b", "gracefully"),
    _rule("defect", r"\bdefects?\b", "bug, internal error"),
    _rule("begun", r"\bbegun\b", "started"),
    _rule("(s)", r"\w\(s\)", "the real plural, see `compozy.plural`"),
    _rule("<int range>", r"<(?:int|float) range>", "`options.number`"),
)


_DIRECTIVES = ("noqa", "pyright:", "type:", "ruff:")


def find_violations(texts: Iterable[Text]) -> list[str]:
    """Return a line for each text that breaks a rule: location, rule, text."""
    return [
        f"{text.location}: {rule.name!r} (write: {rule.instead}): {text.text[:160]}"
        for text in texts
        for rule in RULES
        if rule.pattern.search(text.text)
    ]


def read_prose(path: Path, *, first_section: bool = False) -> Iterator[Text]:
    """Yield title, description, paragraphs, list items and table rows of a page; its fences are skipped.

    Args:
        path: a Markdown file.
        first_section: stop before the second heading of level 2, which is where the releases of a changelog end.
    """
    page = read_page(path)
    yield from (
        Text(path=path, line=1, text=page.front[key].strip("\"'"))
        for key in ("title", "description")
        if key in page.front
    )
    headings = [number for number, line in page.prose if line.startswith("## ")]
    end = headings[1] if first_section and len(headings) > 1 else None
    paragraph: list[str] = []
    start = last = 0
    for number, line in [*((number, line) for number, line in page.prose if end is None or number < end), (0, "")]:
        is_new = not line.strip() or number != last + 1 or re.match(r"\s*(?:[-*|#>]|\d+\.)", line)
        if is_new and paragraph:
            yield Text(path=path, line=start, text=_without_code(" ".join(paragraph)))
            paragraph = []
        if line.strip():
            start = start if paragraph else number
            paragraph.append(line.strip())
        last = number


def first_sentence(path: Path) -> Text:
    """Return the first sentence of the first paragraph of a page."""
    paragraph = next(text for text in read_prose(path) if text.line > 1 and re.match(r"[\w`*\[]", text.text))
    sentence = re.split(r"(?<=[.!?])(?: |$)", paragraph.text, maxsplit=1)[0]
    return Text(path=path, line=paragraph.line, text=sentence)


def read_code(path: Path) -> Iterator[Text]:
    """Yield the texts of a module: first paragraphs of docstrings, and strings of several words."""
    yield from read_docstrings(path)
    read: set[ast.AST] = {node.value for node in nodes_of(path, ast.Expr)}
    for node in nodes_of(path, ast.JoinedStr):
        read |= set(ast.walk(node))
        parts = [str(part.value) if isinstance(part, ast.Constant) else "`x`" for part in node.values]
        yield _text(path, node.lineno, "".join(parts))
    for node in nodes_of(path, ast.Constant):
        if isinstance(node.value, str) and " " in node.value and node not in read:
            yield _text(path, node.lineno, node.value)


def read_docstrings(path: Path) -> Iterator[Text]:
    """Yield the first paragraphs of a module's docstrings."""
    for node in statements_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield _text(path, node.lineno, node.value.value.strip().partition("\n\n")[0])


def read_names(path: Path) -> Iterator[Text]:
    """Yield the names of a module's functions and classes as sentences, without `test_`."""
    for node in statements_of(path):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            words = node.name.lstrip("_").removeprefix("test_").replace("_", " ")
            yield Text(path=path, line=node.lineno, text=words[:1].upper() + words[1:])


def read_comments(path: Path) -> Iterator[Text]:
    """Yield the comments of a module; the lines of a comment are one text."""
    start = last = 0
    words: list[str] = []
    for line, comment, is_alone in find_comments(text_of(path)):
        text = comment.lstrip("# ").strip()
        if text.startswith(_DIRECTIVES):
            continue
        is_more = line == last + 1 and is_alone
        if words and not is_more:
            yield _text(path, start, " ".join(words))
        words, start = ([*words, text], start) if is_more else ([text], line)
        last = line
    if words:
        yield _text(path, start, " ".join(words))


# A string or a comment. Nothing else in a module may contain a quote or a number sign.
_STRING_OR_COMMENT = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    r'|"[^"\\]*(?:\\.[^"\\]*)*"'
    r"|'[^'\\]*(?:\\.[^'\\]*)*'"
    r"|#[^\n]*",
    re.DOTALL,
)


def find_comments(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line and text of each comment, and whether its line contains nothing else.

    `tokenize` finds the same, and takes twenty times as long.
    """
    line, counted = 1, 0
    for found in _STRING_OR_COMMENT.finditer(source):
        if found[0].startswith("#"):
            line, counted = line + source.count("\n", counted, found.start()), found.start()
            before = source[source.rfind("\n", 0, found.start()) + 1 : found.start()]
            yield line, found[0], not before.strip()


# A comment, a text between tags, or a string that starts like a sentence.
_WEB_TEXT = re.compile(r'(?://|/\*\*) ([^\n]*)|>([^<>{}=;]* [^<>{}=;]*)<|"([A-Z][^"\n]* [^"\n]*)"')


def read_web(path: Path) -> Iterator[Text]:
    """Yield the comments and texts of a module of the web page."""
    source = path.read_text(encoding="utf-8")
    for found in _WEB_TEXT.finditer(source):
        text = next(part for part in found.groups() if part is not None)
        yield _text(path, source.count("\n", 0, found.start()) + 1, text.removesuffix("*/"))


def _text(path: Path, line: int, text: str) -> Text:
    return Text(path=path, line=line, text=_without_code(" ".join(text.split())))


def _without_code(text: str) -> str:
    """Return `text` with code as `x` and links as their words."""
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "`x`", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
