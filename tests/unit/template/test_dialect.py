"""The dialect of workflow files: hyphens in paths, and errors for missing keys."""

from __future__ import annotations

from typing import Any

import pytest

from compozy import template
from compozy.config.nodes import MappingNode, ScalarNode, child
from compozy.config.parse import parse_yaml
from compozy.errors import SourceLocation, TemplateRenderError, TemplateSyntaxError

DATA: dict[str, Any] = {
    "input": {"name": "Ada", "nothing": None, "count": 3, "my-key": "dash"},
    "tasks": {
        "fetch-data": {"output": {"items": [{"my-id": 1}, {"my-id": 2}], "a-b-c": "deep"}},
        "greet": {"output": {"text": "Hello", "status": "done"}},
    },
}


def render(text: str, data: Any = DATA) -> str:
    return template.compile(text, name="t", dialect="compozy").render(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .tasks.fetch-data.output.a-b-c }}", "deep"),
        ("{{ $.input.my-key }}", "dash"),
        ("{{ $t := .tasks }}{{ $t.fetch-data.output.a-b-c }}", "deep"),
        ("{{ (.tasks).fetch-data.output.a-b-c }}", "deep"),
        ("{{ range .tasks.fetch-data.output.items }}{{ .my-id }},{{ end }}", "1,2,"),
        (
            "{{ range $i, $x := .tasks.fetch-data.output.items }}{{ $x.my-id }}{{ $.input.my-key }}{{ end }}",
            "1dash2dash",
        ),
        ("{{ with .tasks.fetch-data }}{{ .output.a-b-c }}{{ end }}", "deep"),
        ("a {{- .input.name -}} b", "aAdab"),
        ("{{.input.name -}} b", "Adab"),
        ("{{ sub .input.count 1 }}{{ -1 }}", "2-1"),
        ("{{ .input.my-key | upper }}", "DASH"),
    ],
)
def test_hyphens_in_paths(text: str, expected: str) -> None:
    assert render(text) == expected


def test_hyphen_is_go_error_in_dialect_go() -> None:
    with pytest.raises(TemplateSyntaxError, match="bad character U\\+002D"):
        template.compile("{{ .my-key }}")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{{ .tasks.greet.ouput.text }}", '.tasks.greet has no key "ouput"', "did you mean 'output'?"),
        ("{{ .tasks.fetch_data.output }}", '.tasks has no key "fetch_data"', "did you mean 'fetch-data'?"),
        ("{{ .inputs }}", 'the data has no key "inputs"', "did you mean 'input'?"),
        ("{{ $.tasks.nope }}", '$.tasks has no key "nope"', ""),
        ("{{ .input.nothing.x }}", '.input.nothing is null, so it has no key "x"', "guard it"),
        ("{{ .input.name.x }}", '.input.name is not a map but a string, so it has no key "x"', ""),
        ("{{ .input.nothing }}", "the value at .input.nothing is null and cannot be printed", "| default"),
        ("{{ or .input.a .input.b }}", "is null and cannot be printed", "| default"),
        ("{{ upper .input.nam }}", '.input has no key "nam"', "did you mean 'name'?"),
        ("{{ range .input.items }}{{ end }}", '.input has no key "items"', ""),
        ("{{ $x := .input.nme }}", '.input has no key "nme"', "did you mean 'name'?"),
        ("{{ range .tasks.fetch-data.output.items }}{{ .id }}{{ end }}", 'the data has no key "id"', ""),
        ("{{ html .input.nothing }}", "the value is null", "default"),
        ("{{ urlquery .input.nothing }}", "the value is null", "default"),
    ],
)
def test_missing_key_is_error(text: str, message: str, hint: str) -> None:
    with pytest.raises(TemplateRenderError) as caught:
        render(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{ .a.b.c | default "d" }}', "d"),
        ('{{ default "d" .a.b.c }}', "d"),
        ('{{ .input.nothing.deep | default "d" }}', "d"),
        ('{{ default .a.b .c | default "z" }}', "z"),
        ('{{ coalesce .a .b.c .input.name "x" }}', "Ada"),
        ("{{ empty .a.b }}", "true"),
        ('{{ hasKey .a "b" }}{{ hasKey .input "name" }}{{ hasKey .input.nothing "x" }}', "falsetruefalse"),
        ('{{ dig "a" "b" "none" .input }}{{ dig "a" "none" .nope }}', "nonenone"),
        ('{{ dig "name" "x" "none" .input }}', "none"),
        ('{{ ternary "yes" "no" .nope }}', "no"),
        ("{{ if .a.b }}x{{ else }}y{{ end }}", "y"),
        ("{{ if and .a .b.c }}x{{ else }}y{{ end }}", "y"),
        ("{{ if not .a.b }}x{{ end }}", "x"),
        ("{{ if or .a .input.name }}x{{ end }}", "x"),
        ('{{ if eq .input.mode "fast" }}x{{ else }}y{{ end }}', "y"),
        ('{{ if and (ne .input.mode "fast") .input.name }}x{{ end }}', "x"),
        ("{{ with .a.b }}x{{ else }}y{{ end }}", "y"),
        ("{{ if false }}{{ else if .a }}x{{ else }}y{{ end }}", "y"),
        ("{{ not .a }}", "true"),
        ("{{ .input.nothing | toJson }}", "null"),
        ('{{ print (default "q" .a) }}', "q"),
    ],
)
def test_missing_key_is_ignored(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ .input.missing }}",
        "{{ .input.nothing }}",
        "{{ and .a .b }}",
        '{{ index .input "missing" }}',
        "{{ html .input.nothing }}",
        "{{ (dict).a }}",
        '{{ fromJson "bad" }}',
        '{{ define "x" }}{{ . }}{{ end }}{{ template "x" }}',
        "{{ first (list) }}",
        "{{ print .input.nothing }}",
        "{{ println 1 nil }}",
        '{{ printf "%v" .input.nothing }}',
        '{{ printf "%d" .input.nothing }}',
        "{{ toString .input.nothing }}",
        '{{ .input.nothing | printf "%s" }}',
        "{{ .input }}",
        "{{ list 1 nil }}",
        "{{ print (list 1 nil) }}",
        "{{ toString .input }}",
        "{{ html .input }}",
        "{{ quote (list nil) }}",
        "{{ cat .input }}",
        '{{ join "," (list (list nil)) }}',
        "{{ range list 1 nil }}{{ . }}{{ end }}",
    ],
)
def test_null_is_never_printed(text: str) -> None:
    with pytest.raises(TemplateRenderError, match=r"null|has no key"):
        render(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{ .input.nothing | default "none" | print }}', "none"),
        ('{{ printf "%s" (default "none" .input.nothing) }}', "none"),
        ('{{ join "," (list 1 nil 2) }}{{ quote nil }}{{ cat nil "a" }}', "1,2a"),
        ('{{ "<nil>" }}{{ print "<no value>" }}', "<nil><no value>"),
        ("{{ toJson .input.nothing }}{{ toJson (list nil) }}", "null[null]"),
        ("{{ len .input }}{{ len (list nil) }}", "41"),
    ],
)
def test_null_next_to_text(text: str, expected: str) -> None:
    assert render(text) == expected


def test_null_inside_is_reported() -> None:
    with pytest.raises(TemplateRenderError) as caught:
        render("{{ .input }}")
    assert "the value at .input holds null and cannot be printed" in caught.value.message
    assert caught.value.hint == "write {{ .input | toJson }}"


@pytest.mark.parametrize("fault", [".input.nam", "nope .x", "$x"])
@pytest.mark.parametrize(
    "file",
    [
        "k: a {{ FAULT }} b\n",
        "k: 'it''s {{ FAULT }}'\n",
        'k: "tab\\t\\u00e9 {{ FAULT }}"\n',
        'k: "over\n\n  lines \\\n   {{ FAULT }}"\n',
        "k: plain\n  over {{ .input.name }}\n  lines {{ FAULT }}\n",
        "k: |\n  one\n    two {{ .input.name }}\n  {{- FAULT }}\n",
        "k: |2-\n    é {{\n      FAULT }}\n",
        "k: >\n  folded\n  text\n\n  next {{ FAULT }}\n",
        "k: >-  # why\n\n\n  folded {{ if FAULT\n  }}{{ else }}{{ FAULT }}{{ end }}\n",
        "k: |\r\n  windows\r\n  {{ FAULT }}\r\n",
    ],
)
def test_location_in_every_style_of_yaml(file: str, fault: str) -> None:
    text = file.replace("FAULT", fault)
    node = parse_yaml(text.encode(), file="flow.yaml").node
    assert isinstance(node, MappingNode)
    scalar = child(node, "k")
    assert isinstance(scalar, ScalarNode)

    with pytest.raises((TemplateRenderError, TemplateSyntaxError)) as caught:
        template.compile(scalar.text, dialect="compozy", locate=scalar.locate).render(DATA)

    place = caught.value.location
    assert place is not None
    lines = text.replace("\r\n", "\n").split("\n")
    assert lines[place.line - 1][place.col - 1 :].startswith(fault.split(maxsplit=1)[0])


def test_unknown_function_names_a_similar_one() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        template.compile("{{ uper .x }}", dialect="compozy")
    assert 'function "uper" not defined' in caught.value.message
    assert caught.value.hint == "did you mean 'upper'?"


@pytest.mark.parametrize(
    "name", ["env", "expandenv", "genPassword", "htpasswd", "genCA", "encryptAES", "getHostByName"]
)
def test_left_out_function_names_the_reason(name: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=f'function "{name}" is left out on purpose: '):
        template.compile(f"{{{{ {name} }}}}", dialect="compozy")


def test_escape_functions_of_the_reference() -> None:
    assert render('{{ htmlEscape "<b>" }}{{ htmlAttrEscape "\\"" }}{{ jsEscape "\'" }}') == "&lt;b&gt;&#34;\\'"


def _locate(offset: int) -> SourceLocation:
    return SourceLocation(file="flow.yaml", line=10, col=5 + offset)


@pytest.mark.parametrize(
    ("text", "col"),
    [
        ("{{ .input.nam }}", 8),
        ("é {{ $.input.nam }}", 10),
        ("{{ .input.name | upper | nope }}", 30),
        ("{{ .a -}} {{ if }}", 21),
    ],
)
def test_error_contains_the_location_in_the_file(text: str, col: int) -> None:
    with pytest.raises((TemplateRenderError, TemplateSyntaxError)) as caught:
        template.compile(text, dialect="compozy", locate=_locate).render(DATA)
    assert caught.value.location == SourceLocation(file="flow.yaml", line=10, col=col)
    assert "template" not in caught.value.message


def test_error_without_file_contains_line_and_column() -> None:
    with pytest.raises(TemplateRenderError) as caught:
        render("one\n  {{ .input.nam }}")
    assert (caught.value.line, caught.value.col, caught.value.name) == (2, 6, "t")
    assert caught.value.message.startswith("template: t:2:")
