"""The interface of the package: evaluate, references, unchanged data, and functions that differ by call."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compozy import template
from compozy.errors import SourceLocation, TemplateRenderError
from compozy.template.functions.sources import SOURCES

DATA: dict[str, Any] = {"a": {"b": [1, {"c": None}], "n": 1.5, "t": True, "s": "text"}, "x": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .a.b }}", [1, {"c": None}]),
        ("{{ .a.n }}", 1.5),
        ("{{- .a.t -}}", True),
        ("{{ .x }}", None),
        ("{{ add 1 2 }}", 3),
        ('{{ splitList "," "a,b" }}', ["a", "b"]),
        ('{{ split "," "a,b" }}', {"_0": "a", "_1": "b"}),
        ('{{ index "a" 0 }}', 97),
        ('{{ toDate "2006-01-02" "2024-02-29" }}', "2024-02-29T00:00:00Z"),
        ("{{/* said before */}}{{ .a.n }}", 1.5),
        ("{{ .a.n }} ", "1.5 "),
        ("{{ $v := 1 }}", ""),
        ("{{ if true }}1{{ end }}", "1"),
        ("plain", "plain"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("dialect", ["go", "compozy"])
def test_evaluate(text: str, expected: Any, dialect: Any) -> None:
    result = template.compile(text, dialect=dialect).evaluate(DATA)
    assert result == expected
    assert type(result) is type(expected)


def test_evaluate_gives_a_copy() -> None:
    template.compile("{{ .a.b }}").evaluate(DATA).append(3)
    assert DATA["a"]["b"] == [1, {"c": None}]


@pytest.mark.parametrize(
    ("text", "single"), [("{{ .a }}", True), ("{{ .a | len }}", True), (" {{ .a }}", False), ("{{ $a := 1 }}", False)]
)
def test_is_single_action(text: str, single: bool) -> None:
    assert template.compile(text).is_single_action is single


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .a.b }} {{ $.c }}", [("a.b", False), ("c", False)]),
        ("{{ .a | default .b }}", [("a", True), ("b", True)]),
        ("{{ if .a }}{{ .b }}{{ else }}{{ .c }}{{ end }}", [("a", True), ("b", False), ("c", False)]),
        ("{{ range .a }}{{ .b }}{{ $.c }}{{ else }}{{ .d }}{{ end }}", [("a", False), ("c", False), ("d", False)]),
        ("{{ with .a }}{{ .b }}{{ end }}", [("a", True)]),
        ("{{ with $ }}{{ .b }}{{ end }}", [("b", False)]),
        ('{{ index .tasks "fetch-data" "output" }}', [("tasks.fetch-data.output", False)]),
        ('{{ (index .tasks "fetch-data").output.text }}', [("tasks.fetch-data.output.text", False)]),
        ("{{ index .tasks .name }}", [("tasks", False), ("name", False)]),
        ("{{ ((.a).b).c }}", [("a.b.c", False)]),
        ("{{ $x := .a }}{{ $x.b }}", [("a", False), ("a.b", False)]),
        (
            "{{ $t := .tasks }}{{ $o := $t.a.output }}{{ $o.x }}",
            [
                ("tasks", False),
                ("tasks.a.output", False),
                ("tasks.a.output.x", False),
            ],
        ),
        ("{{ $r := . }}{{ range .l }}{{ $r.b }}{{ end }}", [("l", False), ("b", False)]),
        ('{{ $t := .tasks }}{{ index $t "a" }}', [("tasks", False), ("tasks.a", False)]),
        ("{{ with $x := .a }}{{ $x.b }}{{ .c }}{{ end }}", [("a", True), ("a.b", False)]),
        ("{{ range $x := .a }}{{ $x.b }}{{ end }}", [("a", False)]),
        ("{{ range $i, $x := .a }}{{ $x.b }}{{ end }}", [("a", False)]),
        ("{{ $x := .a }}{{ $x = .b }}{{ $x.c }}", [("a", False), ("b", False)]),
        ("{{ $x := .a }}{{ range .l }}{{ $x := .d }}{{ $x.c }}{{ end }}", [("a", False), ("l", False)]),
        ("{{ $x := .a | default .b }}{{ $x.c }}", [("a", True), ("b", True)]),
        ("{{ range .l }}{{ $x := .a }}{{ $x.b }}{{ end }}", [("l", False)]),
        ('{{ define "d" }}{{ .b }}{{ end }}{{ template "d" . }}', [("b", False)]),
        ('{{ define "d" }}{{ .b }}{{ end }}{{ template "d" .a }}', [("a", False)]),
        ("{{ eq (len .a.b) 1 }}", [("a.b", False)]),
        ("{{ not .a }}{{ toJson . }}", [("a", True)]),
    ],
)
def test_references(text: str, expected: list[tuple[str, bool]]) -> None:
    found = template.compile(text, dialect="compozy").references
    assert [(".".join(each.path), each.optional) for each in found] == expected


def test_references_have_locations() -> None:
    def locate(offset: int) -> SourceLocation:
        return SourceLocation(file="f.yaml", line=1, col=offset + 1)

    (found,) = template.compile("a {{ .tasks.greet.output }}", locate=locate).references
    assert (found.path, found.offset, found.location) == (("tasks", "greet", "output"), 5, locate(5))


@pytest.mark.parametrize(
    "text",
    [
        '{{ $_ := set .a "new" 1 }}{{ .a.new }}',
        '{{ $_ := unset .a "b" }}{{ hasKey .a "b" }}',
        '{{ $_ := merge .a (dict "z" 1) }}{{ .a.z }}',
        '{{ $_ := mergeOverwrite .a (dict "b" 1) }}{{ .a.b }}',
        '{{ range .a.b }}{{ if kindIs "map" . }}{{ $_ := set . "c" 1 }}{{ end }}{{ end }}',
        "{{ append .a.b 1 }}{{ reverse .a.b }}{{ rest .a.b }}",
    ],
)
def test_data_is_not_changed(text: str) -> None:
    before = copy.deepcopy(DATA)
    template.compile(text).render(DATA)
    assert before == DATA


def test_compiled_templates_are_cached() -> None:
    first, second = template.compile("{{ .cached }}"), template.compile("{{ .cached }}")
    assert first._program is second._program  # pyright: ignore[reportPrivateUsage] - nothing public tells


def test_function_names_are_known() -> None:
    assert {"default", "toJson", "eq", "htmlEscape"} <= template.FUNCTION_NAMES
    assert not {"env", "genCA", "getHostByName"} & template.FUNCTION_NAMES


def test_has_actions() -> None:
    assert template.has_actions("a {{ .b }}")
    assert not template.has_actions("a { .b }")


def test_time_and_ids_come_from_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SOURCES, "now_ns", lambda: 1_700_000_000_500_000_000)
    assert template.compile('{{ now | date "2006-01-02 15:04:05" }}').render({}) == "2023-11-14 22:13:20"
    assert template.compile('{{ dateInZone "15:04 MST" now "Europe/Berlin" }}').render({}) == "23:13 CET"
    assert template.compile("{{ ago 1699999990 }}").render({}) == "11s"


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        ("randAlphaNum 12", r"[0-9A-Za-z]{12}"),
        ("randAlpha 5", r"[A-Za-z]{5}"),
        ("randNumeric 5", r"[0-9]{5}"),
        ("randAscii 5", r"[ -~]{5}"),
        ("randInt 3 5 | toString", r"[34]"),
        ("uuidv4", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_chance(call: str, pattern: str) -> None:
    text = f'{{{{ regexMatch "^{pattern}$" ({call}) }}}}'.replace("\\", "\\\\")
    assert template.compile(text).render({}) == "true"


def test_data_that_is_not_json_is_refused() -> None:
    with pytest.raises(TemplateRenderError, match="Python set, which is not a JSON value"):
        template.compile("{{ .a }}").render({"a": {1, 2}})
