"""The interface of the expression language: values, messages, limits."""

from __future__ import annotations

import copy
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from compozy.errors import ExpressionError, ExpressionSyntaxError, SourceLocation
from compozy.expression import Limits, check, evaluate, evaluate_condition, names_in
from compozy.expression import compile as compile_expression
from compozy.expression.limits import MAX_LENGTH, MAX_NESTING

VARIABLES: dict[str, Any] = {
    "tasks": {"my-task": {"output": {"text": "hi", "score": 7}}, "greet": {"output": {"text": "Hello"}}},
    "input": {"count": 3, "rate": 0.5, "tags": ["a", "b"], "name": None},
    "signal": {"payload": {"approved": True}, "metadata": {"received_at_utc": "2026-01-31T12:00:00Z"}},
}


def message_of(text: str, *, condition: bool = False) -> str:
    run = evaluate_condition if condition else evaluate
    with pytest.raises(ExpressionError) as caught:
        run(text, VARIABLES, locate=lambda _: SourceLocation(file="a.yaml"))
    hint = f" ({caught.value.hint})" if caught.value.hint else ""
    return f"{caught.value.offset}: {caught.value.message}{hint}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("input.count", 3),
        ("input.count * input.rate", 1.5),
        ("input.count + 1 > 3 && signal.payload.approved", True),
        ('tasks["my-task"].output.score >= 7', True),
        (".input.tags[1]", "b"),
        ('tasks.`my-task`.output.text + "!"', "hi!"),
        ('"a" in input.tags', True),
        ("has(input.other) ? input.other : 'none'", "none"),
        ("input.name == null", True),
        ("{'n': input.count, 'l': input.tags.map(t, t + t)}", {"n": 3, "l": ["aa", "bb"]}),
        ("size('äö')", 2),
        ("timestamp(signal.metadata.received_at_utc) + duration('90m')", "2026-01-31T13:30:00Z"),
        ("timestamp(signal.metadata.received_at_utc).getHours('America/New_York')", 7),
        ("duration('1h30m')", "5400s"),
        ("duration('-1500ms')", "-1.5s"),
        ("type(input.tags)", "list"),
        ("{1: 'a', 'b': 2}", {"1": "a", "b": 2}),
        ("[" + " || ".join(["false"] * 900) + "]", [False]),
        ("+".join(["1"] * 3000), 3000),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert evaluate(text, VARIABLES) == value


def test_maps_keep_the_order_of_their_keys() -> None:
    text = "{" + ", ".join(f"'k{number}': {number}" for number in range(50)) + "}"
    assert list(evaluate(text, {})) == [f"k{number}" for number in range(50)]


def test_messages_name_the_cause_and_the_fix() -> None:
    texts = [
        "tasks.my-task.output.text",
        "tasks.my - task",
        "tasks.great.output",
        "input.counts",
        "inptu.count",
        "input.tags == open",
        "input.count.x",
        "input.tags[5]",
        "input.tags.contains('a')",
        "'a' in 'abc'",
        "input.count + 'a'",
        "input.count > '2'",
        "!input.count",
        "true && input.count",
        "input.count ? 1 : 2",
        "1 / 0",
        "'a'.matches('[')",
        "int('1.5')",
        "9223372036854775807 + 1",
        "b'a'",
        "1.0 / 0.0",
    ]
    assert [message_of(text) for text in texts] == snapshot(
        [
            "6: tasks has no 'my' (write a name with a hyphen in brackets: tasks[\"my-task\"])",
            "6: tasks has no 'my' (it has my-task, greet)",
            "6: tasks has no 'great' (did you mean 'greet'?)",
            "6: input has no 'counts' (did you mean 'count'?)",
            "0: unknown variable 'inptu' (did you mean 'input'?)",
            "14: unknown variable 'open' (write text in quotes: \"open\")",
            "12: cannot read .x of input.count, which is a whole number",
            "10: input.tags has no item 5; its length is 2",
            "11: contains: expected a string, got a list (for a list write `'a' in a`)",
            "4: in requires a list or a map, got a string (to search in a string, write `text.contains(part)`)",
            "12: + cannot add a string to a whole number (convert with `double(a)` or `string(a)`)",
            "12: > cannot compare a whole number with a string (convert with `double(a)` or `string(a)`)",
            "0: ! requires true or false, got a whole number",
            "8: && requires true or false, got a whole number",
            "0: ? : requires true or false, got a whole number",
            "2: / by zero",
            "4: '[' is not a regular expression: error parsing regexp: missing closing ]: `[`",
            "0: int: '1.5' is not a whole number",
            "20: the number is too large",
            "0: the result contains bytes, which cannot be represented in JSON",
            "0: the result contains a number, which cannot be represented in JSON",
        ]
    )


def test_syntax_messages() -> None:
    texts = [
        "input.count >",
        "input.count = 3",
        "a and b",
        "not a",
        "len(input.tags)",
        "contains('a')",
        "input.tags.lenght()",
        "input.tags.size(1)",
        "has(input)",
        "input.tags.all(true)",
        "'abc",
        r"'\q'",
        "a | upper",
        "a ; b",
        "(1",
        "99999999999999999999",
        "if a",
    ]
    problems = [check(text)[0] for text in texts]
    assert [f"{each.offset}: {each.message}" + (f" ({each.hint})" if each.hint else "") for each in problems] == (
        snapshot(
            [
                "13: expected a value, got the end",
                "12: unknown operator '=' (`==` compares)",
                "2: expected the end or an operator, got 'and' (write `&&`)",
                "4: expected the end or an operator, got 'a'",
                "0: unknown function 'len' (did you mean 'size'?)",
                "0: unknown function 'contains' (call it on a value: `a.contains(...)`)",
                "11: unknown method 'lenght'",
                "11: size takes 0 arguments, got 1",
                '0: has requires a path ending with a field, such as has(a.b) (instead of `a["b"]`, write `"b" in a`)',
                "11: all requires a name and an expression for each item: all(x, an expression with x)",
                "0: unterminated text (add the closing quote)",
                "1: unknown escape '\\\\q' (write \\\\q)",
                "2: unknown operator '|' (`||` is or; CEL has no filters)",
                "2: unexpected character ';'",
                "2: expected ')', got the end",
                "0: the number 99999999999999999999 is too large",
                "0: expected a value, got 'if'",
            ]
        )
    )


def test_a_condition_is_true_or_false() -> None:
    assert evaluate_condition(" \n", {}) is True
    assert evaluate_condition("input.count == 3", VARIABLES) is True
    assert evaluate_condition("input.count == 4", VARIABLES) is False
    assert [message_of(text, condition=True) for text in ("input.count", "'true'")] == snapshot(
        [
            "0: expected true or false, but `input.count` gives a whole number (3) (compare it, such as `a == b`)",
            "0: expected true or false, but `'true'` gives a string ('true') (remove the inner quotes)",
        ]
    )


def test_errors_have_their_location() -> None:
    def locate(offset: int) -> SourceLocation:
        return SourceLocation(file="a.yaml", line=4, col=10 + offset)

    with pytest.raises(ExpressionError) as caught:
        evaluate("1 + input.counts", VARIABLES, locate=locate)
    assert caught.value.location == SourceLocation(file="a.yaml", line=4, col=20)
    assert caught.value.to_json() == snapshot(
        {
            "code": "expression",
            "message": "input has no 'counts'",
            "details": {"place": "a.yaml:4:20", "hint": "did you mean 'count'?"},
        }
    )
    with pytest.raises(ExpressionSyntaxError) as syntax:
        evaluate("1 +", {}, locate=locate)
    assert (syntax.value.code, str(syntax.value.location)) == ("expression_syntax", "a.yaml:4:13")


def test_names_that_an_expression_reads() -> None:
    text = 'tasks["my-task"].output.x > 1 && has(input.a.b) && input.tags.all(t, t == signal.name) && size(l[i]) > 0'
    assert names_in(text) == {"tasks", "input", "signal", "l", "i"}
    found = [(reference.path, reference.optional) for reference in compile_expression(text).references]
    assert found == [
        (("tasks", "my-task", "output", "x"), False),
        (("input", "a", "b"), True),
        (("input", "tags"), False),
        (("signal", "name"), False),
        (("l",), False),
        (("i",), False),
    ]
    (first, second) = compile_expression("tasks.my-task.output").references
    assert (first.path, first.joined) == (("tasks", "my"), "my-task")
    assert (second.path, second.joined) == (("task", "output"), "")


@pytest.mark.parametrize(
    "text",
    [
        "l.all(a, l.all(b, l.all(c, l.all(d, a + b + c + d > 0))))",
        "l.map(a, l.map(b, l.map(c, l)))",
        "l.map(a, l.map(b, s + s))",
        "s.matches('(a+)+b')",
        "l.map(a, l.map(b, big == other))",
        "l.map(a, [big, big]).map(b, [b, b, b])",
        "[[l, l, l, l, l, l]].map(a, [a, a, a, a, a]).map(a, [a, a, a, a, a, a, a]).map(a, [a, a, a, a, a, a, a, a])",
        "true || l.all(a, l.all(b, l.all(c, l.all(d, false == (a + b + c + d > 0))))) || true",
    ],
)
def test_nothing_takes_long(text: str) -> None:
    big = [list(range(100)) for _ in range(100)]
    variables = {"l": list(range(1, 200)), "s": "a" * 30_000, "big": big, "other": copy.deepcopy(big)}
    began = time.process_time()
    if text.startswith("true"):
        assert evaluate(text, variables) is True
    else:
        with pytest.raises(ExpressionError) as caught:
            evaluate(text, variables)
        assert (
            "more than" in caught.value.message
            or "longer than" in caught.value.message
            or ("takes too long" in caught.value.message)
        )
    assert time.process_time() - began < 5  # bounded by 1 s


def test_a_limit_is_not_forgiven() -> None:
    with pytest.raises(ExpressionError, match="more than 100 steps"):
        evaluate("l.all(x, x > 0) || true", {"l": list(range(1, 200))}, limits=Limits(steps=100))


@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("[", "]"), ("{'a':", "}"), ("[1].map(x, ", ")"), ("size(", ")"), ("a[", "]")]
)
def test_nesting_has_a_limit(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return opening * depth + "1" + closing * depth

    assert check(nested(MAX_NESTING - 1)) == []
    assert "nested deeper" in check(nested(MAX_NESTING))[0].message
    assert "nested deeper" in check(nested(300))[0].message


def test_a_deep_value_is_an_error_and_not_a_crash() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ExpressionError, match="nested too deep"):
        evaluate("d == [d]", {"d": deep})


@pytest.mark.parametrize(
    "pattern", ["(((a{1000}){1000}){1000})", "((a{100}){100})", "(?:(?:ab){999}){2}", "(" * 900 + "a" + ")" * 900]
)
def test_patterns_whose_repetitions_multiply_are_refused(pattern: str) -> None:
    began = time.thread_time()
    with pytest.raises(
        ExpressionError, match=r"error parsing regexp: (invalid repeat count|expression nests too deep)"
    ):
        evaluate(f"'a'.matches('{pattern}')", {})
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "!" * 9000 + "true", "-" * 9000 + "1", "(" * 9000, "[" * 9000, "true" + " && true" * 1200, "1" + "+1" * 4900,
        "true" + " ? true : true" * 700, "v" + ".a" * 4900, "v" + "[0]" * 3000, "'" + "\\u0041" * 1600 + "'",
        "a" * 9999, "[" + "1," * 4900 + "1]", "v.exists(a, " * 500, "'" * 9999, "9" * 9999, "x{1000}" * 1400,
        "'a'.matches('" + "(abc){1000}" * 800 + "')",
    ],
)  # fmt: skip
def test_costly_texts_are_compiled_or_refused_in_time(text: str) -> None:
    began = time.thread_time()
    with suppress(ExpressionError):
        evaluate(text, {"v": [[1]]})
    assert time.thread_time() - began < 4


def test_a_number_of_thousands_of_digits_is_too_large() -> None:
    assert check("9" * 9999)[0].message == f"the number {'9' * 40}... is too large"


def test_length_has_a_limit() -> None:
    assert "at most 10000 characters" in check("a" * (MAX_LENGTH + 1))[0].message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(JSON_VALUES)
def test_a_variable_is_returned_unchanged(value: Any) -> None:
    before = json.dumps(value)
    assert json.dumps(evaluate("v", {"v": value})) == before
    assert evaluate("v == v && [v] == [v] && v in [v]", {"v": value}) is True
    assert json.dumps(value) == before


SIGNS = '+ - * / % == < && || ! ? : ( ) [ ] { } . , // \\ " \n'
NAMES = "a tasks 1 2.5 'x' in true null size has all map x -task `k`"
WORDS = st.sampled_from([*SIGNS.split(" "), *NAMES.split(" ")])


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.lists(WORDS, max_size=25).map("".join) | st.text(max_size=40))
def test_any_text_is_an_expression_or_a_problem_with_its_location(text: str) -> None:
    problems = check(text)
    if problems:
        assert 0 <= problems[0].offset <= len(text)
        return
    if not text.strip():
        return
    names_in(text)
    assert 0 <= offset_of_error(text) <= len(text)


def offset_of_error(text: str) -> int:
    """Return where an expression fails, 0 if it does not fail."""
    try:
        json.dumps(evaluate(text, {"a": [1, {"k": 2}], "tasks": {"x": 1}, "x": 3}), allow_nan=False)
    except ExpressionError as error:
        return error.offset
    return 0
