"""Values with shared parts, and texts that are costly to compile, end within the limits of one rendering."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest

from compozy import template
from compozy.errors import TemplateError, TemplateRenderError
from compozy.template import Limits
from compozy.template.functions import FUNCTIONS
from compozy.template.functions.registry import Function
from compozy.template.values import weigh

SLOW_S = 4
"""Seconds of processor time, far above the bounds (1 s)."""
_SHARED_LIST = "{{ $x := list 1 }}{{ range until 24 }}{{ $x = list $x $x }}{{ end }}"
_SHARED_MAP = '{{ $x := dict "a" 1 }}{{ range until 24 }}{{ $x = dict "a" $x "b" $x }}{{ end }}'
_SHARED_NULL = "{{ $x := list nil }}{{ range until 24 }}{{ $x = list $x $x }}{{ end }}"
_SHARED_TEXT = '{{ $x := list (repeat 100000 "é<") }}{{ range until 16 }}{{ $x = list $x $x }}{{ end }}'
_SHARED = [_SHARED_LIST, _SHARED_MAP, _SHARED_NULL, _SHARED_TEXT]
_PLAIN = {"string": '"%v"', "int": "1", "bool": "true", "float64": "1.5", "time.Time": "now"}
_WALKERS = [
    "toJson $x", "mustToJson $x", "toPrettyJson $x", "toRawJson $x", "print $x", "println $x", "printf `%v` $x",
    "printf `%d %s` $x $x", "printf `x` $x", "html $x", "js $x", "urlquery $x", "quote $x", "squote $x", "cat $x",
    "join `,` $x", "sortAlpha $x", "toString $x", "toStrings $x", "deepCopy $x", "eq $x $x", "ne $x $x", "dict $x 1",
    "$x",
]  # fmt: skip


def render(text: str, dialect: Any) -> str:
    """Return the text or the error message, and fail if it took too long."""
    started = thread_time()
    try:
        result = template.compile(text, dialect=dialect).render({})
    except TemplateError as error:
        result = error.message
    assert thread_time() - started < SLOW_S, text[:200]
    return result


@pytest.mark.parametrize("dialect", ["go", "compozy"])
@pytest.mark.parametrize("call", _WALKERS)
def test_shared_parts_count_as_often_as_they_occur(call: str, dialect: Any) -> None:
    for shared in (_SHARED_LIST, _SHARED_TEXT):
        assert "more than" in render(f"{shared}{{{{ {call} }}}}", dialect)


@pytest.mark.parametrize("call", ["deepEqual $x $y", "has $x (list $y)", "uniq (list $x $y)", "without (list $x) $y"])
def test_comparing_shared_parts_is_counted(call: str) -> None:
    text = _SHARED_LIST + _SHARED_LIST.replace("$x", "$y") + f"{{{{ $r := {call} }}}}"
    message = render(text, "go")
    assert "functions visit more than 1000000 items" in message or "longer than 1 s" in message


@pytest.mark.parametrize("shared", _SHARED)
@pytest.mark.parametrize("dialect", ["go", "compozy"])
def test_no_function_is_slow_with_shared_parts(shared: str, dialect: Any) -> None:
    for function in {function.call: function for function in FUNCTIONS[dialect].values()}.values():
        for call in _calls(function):
            render(f"{shared}{{{{ $r := {call} }}}}{{{{ $r }}}}", dialect)


def _calls(function: Function) -> list[str]:
    """Return calls of the function with `$x` in place of each argument in turn, and of all that accept any value."""
    params = [*function.params, *([function.rest] * 2 if function.rest else [])]
    plain = [_PLAIN.get(param.go_type, "$x") for param in params]
    calls = [
        " ".join([function.name, *plain[:index], "$x", *plain[index + 1 :]])
        for index, param in enumerate(params)
        if not param.accepts or dict in param.accepts
    ]
    return [*calls, " ".join([function.name, *plain])] if calls else []


def test_a_value_of_an_action_is_counted() -> None:
    compiled = template.compile("{{ .v }}", dialect="compozy")
    value: Any = [1]
    for _ in range(24):
        value = [value, value]
    with pytest.raises(TemplateRenderError, match="functions visit more than"):
        compiled.evaluate({"v": value})


def test_repeated_arguments_of_a_layout_are_counted() -> None:
    text = '{{ $x := until 1000 }}{{ $y := printf (repeat 20000 "%[1]v") $x }}'
    assert "functions visit more than" in render(text, "go")
    assert len(render('{{ printf (repeat 20000 "%[") 1 }}', "go")) == 20_000


def _nothing() -> None:
    pass


def test_weights() -> None:
    shared = ["ab"]
    assert weigh([], _nothing) == (1, 0)
    assert weigh({"key": "abc", "n": None}, _nothing) == (3, 7)
    assert weigh([shared, shared, 1], _nothing) == (6, 4)


def test_large_data_is_accepted() -> None:
    data = {"rows": [{"id": number, "name": f"row {number}", "tags": ["a", "b"]} for number in range(10_000)]}
    assert len(template.compile("{{ toJson .rows }}").render(data, limits=Limits(time_s=60))) > 400_000


COSTLY: dict[str, str] = {
    "parentheses": "{{ " + "(" * 30_000 + "1" + ")" * 30_000 + " }}",
    "blocks": "{{ if 1 }}" * 5_000 + "{{ end }}" * 5_000,
    "else if": "{{ if 1 }}a" + "{{ else if 2 }}b" * 5_000 + "{{ end }}",
    "pipeline": "{{ 1 " + "| quote " * 4_000 + "}}",
    "arguments": "{{ list " + "1 " * 10_000 + "}}",
    "definitions": "".join(f'{{{{ define "a{number}" }}}}x{{{{ end }}}}' for number in range(4_000)),
    "fields": "{{ " + ".a" * 100_000 + " }}",
    "openings": "{{" * 20_000,
    "actions": "{{ 1 }}a" * 4_000,
    "trimming": "{{- 1 -}}   " * 4_000,
    "blanks": "{{ 1 }}" + " " * 3_000_000 + "x{{- 1 -}}",
    "variables": "".join(f"{{{{ $a{number} := 1 }}}}{{{{ $a0 }}}}" for number in range(3_000)),
    "assignments": "{{ $x := 1 }}" + "{{ $x = 1 }}" * 5_000,
    "string": '{{ "' + "\\n" * 100_000 + '" }}',
    "open string": '{{ "' + "a" * 1_000_000,
    "digits": "{{ " + "9" * 1_000_000 + " }}",
    "exponent": "{{ 1e" + "9" * 1_000_000 + " }}",
    "character": "{{ '" + "a" * 1_000_000 + "' }}",
    "methods": "{{ (now)" + ".UTC" * 30_000 + " }}",
    "late error": "{{ 1 }}" * 4_000 + "{{ nope }}",
}


@pytest.mark.parametrize("kind", COSTLY)
def test_compiling_takes_time_in_proportion_to_the_text(kind: str) -> None:
    render(COSTLY[kind], "compozy")
