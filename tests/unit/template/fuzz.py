"""Compares the engine with Go: renders random templates with random data in both. Not a test: run it by hand.

    python tests/unit/template/fuzz.py ORACLE [COUNT] [SEED]

ORACLE is the program built from `oracle.go` with Go and Debian's golang-github-masterminds-sprig-dev. Each difference
is printed as a row of `found.jsonl`, with Go's outcome. Rows that must stay equal are added to that file.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from compozy import template
from compozy.errors import TemplateError
from compozy.template.functions.registry import REGISTRY, Function

# Random order in Go, functions that read the clock or the system, and intended differences.
SKIPPED = frozenset(
    {
        "ago", "call", "chunk", "derivePassword", "durationRound", "keys", "mustChunk", "now", "omit", "randAlpha",
        "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4", "values",
    }
)  # fmt: skip
FUNCTIONS = [function for name, function in sorted(REGISTRY.items()) if name not in SKIPPED]
KEYS = ("a", "b", "c", "list", "map", "n", "s", "missing")
STRINGS = (
    "", "a", "b", "Hello World", "a,b,,c", "1", "-3", "2.5", "1e3", "0x1f", "010", "true", "é日本", "  pad ", "a\nb",
    '{"k":[1,2.5,null]}', "[1,", "%d %s", "%v|%5.2f", "%q", "[a-z]+", "(a)(b)?", "x*", "1.2.3", "^1.2", ">=1 <3", "~1",
    "/a/../b.txt", "https://u:p@h:8/p?q=1#f", "2006-01-02", "2024-02-29", "15:04:05", "-1.5h", "<a&'\">", "fooBarBaz2",
    "HTTPServer_x-y", "aGk=", "NBUQ====", "\u2028", "string", "slice", "\t", "${1}W", "a.b", "UTC", "Europe/Berlin",
)  # fmt: skip
NUMBERS = ("0", "1", "-1", "2", "3", "7", "10", "100", "1.0", "2.5", "-0.5", "1e6", "1e21", "1e-7", "0x10", "'a'")
BY_TYPE: dict[str, tuple[str, ...]] = {
    "string": ("s", "text", "path"),
    "int": ("int", "int", "number", "path"),
    "float64": ("number", "int"),
    "bool": ("bool", "path", "call"),
    "map[string]interface {}": ("map", "path", "map"),
    "time.Time": ("date",),
}
BATCH = 250
_LIMITS = re.compile(
    r"^timeout|^output too large|more than \d+ (?:items|characters|rounds)|nested more|longer than \d+"
)
ANY = ("path", "s", "number", "call", "list", "map", "bool", "nil", "dot")


class Maker:
    """Creates templates and data from one random generator."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.variables: list[str] = []

    def pick(self, *choices: str) -> str:
        """Return one of the choices."""
        return self.random.choice(choices)

    def value(self, depth: int = 0) -> Any:
        """Return a random JSON value."""
        kind = self.random.randrange(10 if depth < 3 else 7)
        if kind < 2:
            return self.random.choice(STRINGS)
        if kind < 4:
            return self.random.choice([0, 1, -1, 2, 3, 42, 1000000, 123456789012, 9223372036854775807])
        if kind < 5:
            return self.random.choice([0.0, 1.0, 2.5, -0.5, 1e6, 1e21, 1.5e-7, 0.1, 1234567.25])
        if kind < 7:
            return self.random.choice([True, False, None])
        if kind < 8:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(KEYS): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def data(self) -> dict[str, Any]:
        """Return the data of a template."""
        return {
            "a": self.value(1),
            "b": self.value(1),
            "list": [self.value(2) for _ in range(self.random.randrange(4))],
            "map": {key: self.value(2) for key in KEYS[: self.random.randrange(4)]},
            "n": self.random.choice([0, 1, 2, 3, -1, 2.5]),
            "s": self.random.choice(STRINGS),
        }

    def operand(self, kinds: tuple[str, ...], depth: int) -> str:
        """Return an operand of one of the kinds."""
        makers: dict[str, Callable[[int], str]] = {
            "s": lambda _: json.dumps(self.pick(*STRINGS), ensure_ascii=False),
            "text": lambda _: self.pick(".s", "$.s", "(print .a)", "(toString .n)"),
            "int": lambda _: self.pick("0", "1", "2", "3", "5", "-1", "10"),
            "number": lambda _: self.pick(*NUMBERS),
            "bool": lambda _: self.pick("true", "false"),
            "nil": lambda _: "nil",
            "dot": lambda _: ".",
            "path": self.path,
            "list": lambda _: self.pick(
                ".list", '(list 1 "a" 2.5 nil)', "(list)", '(splitList "," "b,a")', "(until 3)"
            ),
            "map": lambda _: self.pick(".map", '(dict "a" 1 "b" (dict "c" "x"))', "(dict)", "."),
            "date": lambda _: self.pick('(toDate "2006-01-02" "2024-02-29")', '(toDate "2006-01-02" "x")'),
            "call": lambda level: f"({self.pipeline(level + 1)})",
        }
        kind = self.pick(*kinds)
        if kind == "call" and depth > 2:
            kind = "path"
        return makers[kind](depth)

    def path(self, _: int) -> str:
        """Return a chain of fields."""
        head = self.pick(".", "$.", ".", *(f"{variable}." for variable in self.variables))
        keys = ".".join(self.pick(*KEYS) for _ in range(self.random.choice((1, 1, 2, 3))))
        return self.pick(head + keys, head + keys, *(self.variables or [head + keys]))

    def call(self, depth: int, *, piped: bool) -> str:
        """Return the call of a function with arguments that are mostly valid."""
        function = self.random.choice(FUNCTIONS)
        count = len(function.params) + (self.random.randrange(3) if function.rest else 0) - piped
        if self.random.random() < 0.03:
            count += self.random.choice((-1, 1))
        args = [self.argument(function, index, depth) for index in range(max(count, 0))]
        return " ".join([function.name, *args])

    def argument(self, function: Function, index: int, depth: int) -> str:
        """Return an argument for a parameter."""
        param = function.param(index)
        kinds = ANY if param is None or self.random.random() < 0.08 else BY_TYPE.get(param.go_type, ANY)
        return self.operand(kinds, depth)

    def pipeline(self, depth: int = 0) -> str:
        """Return a pipeline."""
        stages = [
            self.call(depth, piped=False)
            if self.random.random() < 0.6
            else self.operand(("path", "s", "number", "dot"), depth)
        ]
        while self.random.random() < 0.35:
            stages.append(self.call(depth, piped=True))
        return " | ".join(stages)

    def body(self, depth: int = 0) -> str:
        """Return a sequence of statements."""
        known = len(self.variables)
        text = "".join(self.statement(depth) for _ in range(self.random.choice((1, 1, 2, 3))))
        del self.variables[known:]
        return text

    def statement(self, depth: int) -> str:
        """Return text, an action, a branch or a declaration."""
        kind = self.random.randrange(12 if depth < 2 else 7)
        left, right = self.pick("{{ ", "{{ ", "{{- "), self.pick(" }}", " }}", " -}}")
        if kind == 0:
            return self.pick(" text ", "\n", "é", "a b")
        if kind < 6:
            return left + self.pipeline() + right
        if kind == 6:
            name = self.pick("$x", "$y")
            sign = "=" if name in self.variables and self.random.random() < 0.5 else ":="
            text = f"{left}{name} {sign} {self.pipeline()}{right}"
            self.variables.append(name)
            return text
        otherwise = f"{{{{ else }}}}{self.body(depth + 1)}" if self.random.random() < 0.5 else ""
        if kind < 9:
            return f"{left}if {self.pipeline()}{right}{self.body(depth + 1)}{otherwise}{{{{ end }}}}"
        if kind == 9:
            return f"{left}with {self.pipeline()}{right}{self.body(depth + 1)}{otherwise}{{{{ end }}}}"
        return self.loop(depth, left, right, otherwise)

    def loop(self, depth: int, left: str, right: str, otherwise: str) -> str:
        """Return a range."""
        known = len(self.variables)
        names = self.random.choice([[], ["$x"], ["$i", "$x"]])
        head = f"{', '.join(names)} := " if names else ""
        over = self.operand(("path", "list", "map", "int", "call"), 0)
        self.variables += names
        stop = self.pick("", "", "{{ break }}", "{{ continue }}")
        text = f"{left}range {head}{over}{right}{self.body(depth + 1)}{stop}{otherwise}{{{{ end }}}}"
        del self.variables[known:]
        return text


def render(row: dict[str, Any]) -> dict[str, str]:
    """Return the outcome of the engine for a row."""
    try:
        options = row["opts"]
        return {
            "out": template.compile(row["template"], name="t").render(row["data"], missing_key=options["missingkey"])
        }
    except TemplateError as error:
        return {"error": error.message}


def ask_go(oracle: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Go's outcomes, or none if a template overflowed Go's stack, which ends the program."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    answer = subprocess.run([oracle], input=lines, capture_output=True, text=True, check=False)
    return [json.loads(line) for line in answer.stdout.strip().split("\n")] if answer.returncode == 0 else []


def compare(oracle: str, rows: list[dict[str, Any]], outcomes: list[dict[str, Any]]) -> int:
    """Print the differences and return their number. Each is rendered again, since some templates print the time."""
    differences = 0
    for row, outcome in zip(rows, outcomes, strict=False):
        again = (answer for _ in range(5) for answer in ask_go(oracle, [row]))
        if is_same(row, outcome) or any(is_same(row, answer) for answer in again):
            continue
        differences += 1
        ours = json.dumps(render(row), ensure_ascii=False)
        print(json.dumps({**row, **outcome}, ensure_ascii=False), "\n   ", ours)
    return differences


def is_same(row: dict[str, Any], outcome: dict[str, Any]) -> bool:
    """Return whether the engine and Go have the same outcome, or one of them reached its limits."""
    expected = {key: outcome[key] for key in ("out", "error") if key in outcome}
    ours = render(row)
    return ours == expected or any(_LIMITS.search(each.get("error", "")) for each in (ours, expected))


def main(oracle: str, count: int, seed: int) -> None:
    """Create `count` templates, render them, and print the differences."""
    maker = Maker(seed)
    compared = differences = 0
    for start in range(0, count, BATCH):
        rows = [
            {
                "id": f"fuzz-{seed}-{number}",
                "template": maker.body() if number % 2 else f"{{{{ {maker.pipeline()} }}}}",
                "data": maker.data(),
                "opts": {"missingkey": maker.pick("default", "default", "zero", "error"), "timeout_ms": 300},
            }
            for number in range(start, start + BATCH)
        ]
        outcomes = ask_go(oracle, rows)
        compared += len(outcomes)
        differences += compare(oracle, rows, outcomes)
    print(f"{compared} templates compared, {differences} differences", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int((sys.argv[2:] or ["5000"])[0]), int((sys.argv[3:] or ["1"])[0]))
