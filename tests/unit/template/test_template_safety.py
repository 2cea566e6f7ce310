"""Templates can access only their data, and end within their limits."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compozy import template
from compozy.errors import TemplateError, TemplateRenderError, TemplateSyntaxError
from compozy.template import Limits


def outcome(text: str, data: Any) -> str:
    """Return the rendered text, or the message of the error."""
    try:
        return template.compile(text).render(data)
    except TemplateRenderError as error:
        return error.message


class Secret:
    """An object that no template may access."""

    token = "hunter2"

    def __getitem__(self, key: str) -> str:
        raise AssertionError(f"a template asked for {key}")


@pytest.mark.parametrize(
    "name", ["__class__", "__dict__", "__globals__", "__init__", "token", "format", "keys", "items"]
)
@pytest.mark.parametrize("data", [{"v": "text"}, {"v": {}}, {"v": [1]}, {"v": 1}, {"v": None}, {"v": 1.5}])
def test_python_attributes_are_out_of_reach(name: str, data: Any) -> None:
    for text in (
        f"{{{{ .v.{name} }}}}",
        f"{{{{ (.v).{name} }}}}",
        f"{{{{ $.v.{name} }}}}",
        f'{{{{ index .v "{name}" }}}}',
    ):
        compiled = template.compile(text)
        try:
            assert compiled.render(data) == "<no value>"
        except TemplateRenderError:
            continue


@pytest.mark.parametrize("text", ["{{ .v }}", "{{ print .v }}", "{{ toJson .v }}", '{{ printf "%s %v %d" .v .v .v }}'])
def test_foreign_objects_show_nothing(text: str) -> None:
    assert "hunter2" not in outcome(text, {"v": Secret()})


@pytest.mark.parametrize("text", ["{0.__class__}", "{v!r}", "%(v)s", "${v}", "{% if 1 %}", "{{`{{ .v }}`}}", "$v"])
def test_other_template_languages_are_text(text: str) -> None:
    expected = "{{ .v }}" if text.startswith("{{`") else text
    assert template.compile(text).render({"v": "secret"}) == expected


def test_data_is_not_rendered_again() -> None:
    assert template.compile("{{ .v }}").render({"v": "{{ .secret }}", "secret": 1}) == "{{ .secret }}"


ENDLESS = [
    "{{ until 1000000000 }}",
    "{{ untilStep 0 9223372036854775807 1 }}",
    "{{ seq 1000000000 }}",
    '{{ repeat 1000000000 "x" }}',
    '{{ repeat 1000000 (repeat 1000000 "x") }}',
    "{{ range 1000000000 }}{{ end }}",
    "{{ range until 1000 }}{{ range until 1000 }}{{ . }}{{ end }}{{ end }}",
    '{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}',
    '{{ define "r" }}{{ template "r" . }}{{ template "r" . }}{{ end }}{{ template "r" . }}',
    '{{ define "a" }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
    '{{ printf "%999999d" 1 | printf "%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s" }}',
    '{{ $s := "x" }}{{ range until 60 }}{{ $s = print $s $s }}{{ end }}',
    "{{ $l := list 1 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}",
    '{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $d }}',
    '{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ toJson $d }}',
    '{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ deepCopy $d }}',
    '{{ indent 1000000 (repeat 1000000 "\\n") }}',
    '{{ replace "" (repeat 10000 "y") (repeat 1000000 "x") }}',
    '{{ range until 200000 }}{{ repeat 1000 "x" }}{{ end }}',
    "{{ $x := until 100000 }}{{ range until 100000 }}{{ has 1000000 $x }}{{ end }}",
    "{{ randAlphaNum 1000000000 }}",
    '{{ $s := repeat 9000000 "x" }}{{ range 60 }}{{ $y := snakecase $s }}{{ end }}',
    '{{ $s := repeat 5000000 "é" }}{{ range 60 }}{{ range 60 }}{{ $y := upper $s }}{{ end }}{{ end }}',
    '{{ $s := repeat 5000000 "é" }}{{ range 60 }}{{ range 60 }}{{ $y := len $s | printf "%s%q" $s }}{{ end }}{{ end }}',
    "{{ $l := until 200000 }}{{ range 60 }}{{ range 60 }}{{ $y := deepEqual $l (reverse $l) }}{{ end }}{{ end }}",
    "{{ $l := until 200000 }}{{ range 60 }}{{ $y := sortAlpha $l }}{{ $y = without $l 1 2 3 4 5 6 7 }}{{ end }}",
    '{{ mustFromJson (repeat 5000000 "9") }}',
    '{{ range 1000 }}{{ $x := printf "%999999d" 1 }}{{ end }}',
    '{{ range 60 }}{{ range 60 }}{{ $x := regexReplaceAll "(a+)+b" (repeat 3000 "a") "" }}{{ end }}{{ end }}',
]


@pytest.mark.parametrize("dialect", ["go", "compozy"])
@pytest.mark.parametrize("text", ENDLESS)
def test_endless_templates_end(text: str, dialect: Any) -> None:
    started = perf_counter()
    with pytest.raises(TemplateRenderError):
        template.compile(text, dialect=dialect).render({})
    assert perf_counter() - started < 60, "the bounds are far below this"


def test_patterns_that_backtrack_end() -> None:
    text = '{{ regexMatch "^(([a-z])+.)+[A-Z]([a-z])+$" (repeat 60 "a") }}{{ regexMatch "(x+x+)+y" (repeat 60 "x") }}'
    result = outcome(text, {})
    assert result == "falsefalse" or "takes too long" in result


@pytest.mark.parametrize("pattern", ["(?=a)", "(?!a)", "(?<=a)b", r"(a)\\1", "(?>a)", "a++", "(?(1)a)", "[", "(", "*"])
def test_patterns_beyond_re2_are_refused(pattern: str) -> None:
    with pytest.raises(TemplateRenderError, match="error parsing regexp"):
        template.compile(f'{{{{ mustRegexMatch "{pattern}" "a" }}}}').render({})


def test_limits_can_be_set() -> None:
    limits = Limits(output=5, iterations=3)
    with pytest.raises(TemplateRenderError, match="longer than 5"):
        template.compile("{{ .v }}").render({"v": "123456"}, limits=limits)
    with pytest.raises(TemplateRenderError, match="more than 3 rounds"):
        template.compile("{{ range 4 }}{{ end }}").render({}, limits=limits)
    assert template.compile("{{ .v }}").render({"v": "12345"}, limits=limits) == "12345"


@pytest.mark.parametrize(
    "text", ["{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ if 1 }}" * 3000 + "{{ end }}" * 3000]
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="depth exceeded"):
        template.compile(text)


@pytest.mark.parametrize("text", ["{{ . }}", "{{ toJson . }}", '{{ $_ := set . "a" 1 }}', "{{ deepCopy . }}"])
def test_deep_data_is_refused(text: str) -> None:
    data: Any = {}
    for _ in range(5000):
        data = {"d": data}
    with pytest.raises(TemplateRenderError, match="nested"):
        template.compile(text).render(data)


PIECES = st.sampled_from(
    [
        "{{", "}}", "{{-", "-}}", " ", "\n", ".a", ".b.c", ".", "$", "$x", ":=", "=", ",", "|", "(", ")", "if", "else",
        "end", "range", "with", "define", "template", "block", "break", "continue", '"s"', "`r`", "'c'", "1", "-2.5",
        "1i", "0x1F", "nil", "true", "index", "printf", '"%d %s"', "default", "and", "or", "not", "eq", "len", "list",
        "dict", "set", "slice", "upper", "join", "toJson", "/*", "*/", "text", "é", "\x00", "{", "}", "-", "a-b",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "a-b"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(text=st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join)), data=JSON)
def test_any_text_with_any_data_only_raises_template_errors(text: str, data: Any) -> None:
    for dialect in ("go", "compozy"):
        try:
            compiled = template.compile(text, dialect=dialect)  # pyright: ignore[reportArgumentType] - both are dialects
        except TemplateSyntaxError:
            continue
        try:
            compiled.render(data).encode()
            compiled.evaluate(data)
            assert isinstance(compiled.references, tuple)
        except TemplateRenderError:
            continue


OPERANDS = st.sampled_from(
    [".", ".a", ".b.c", "$", "nil", "1", "-3", "2.5", '"s"', '"a,b"', "true", "(list 1 2)", '"%v"']
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(template.FUNCTION_NAMES)), args=st.lists(OPERANDS, max_size=4), data=JSON)
def test_any_call_of_any_function_only_raises_template_errors(name: str, args: list[str], data: Any) -> None:
    try:
        template.compile(f"{{{{ {name} {' '.join(args)} }}}}", dialect="compozy").render(data).encode()
    except TemplateError:
        return
