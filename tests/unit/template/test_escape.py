"""Values that a template prints are escaped, except those of trusted roots."""

from __future__ import annotations

import pytest

from compozy import template

DATA = {
    "input": {"x": "a/b", "config": {"x": "evil/"}, "list": ["1/2", "3"], "b64": "Li4v"},
    "config": {"base": "https://a.test/v1", "n": 7},
    "env": {"T": "t/t"},
}
ESCAPE = template.Escape(quote=lambda text: f"<{text}>", trusted=frozenset({"config", "env"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .config.base }}/x", "https://a.test/v1/x"),
        ("{{ $.config.base }}/x", "https://a.test/v1/x"),
        ('{{ .config.base | trimPrefix "https://" }}', "a.test/v1"),
        ('{{ printf "%s-%d" .env.T .config.n }}', "t/t-7"),
        ('{{ index .config "base" }}', "https://a.test/v1"),
        ('{{ "a/b" }}', "a/b"),
        ("{{ .input.x }}", "<a/b>"),
        ("{{ $.input.x }}", "<a/b>"),
        ("{{ .input.b64 | b64dec }}", "<../>"),
        ('{{ printf "%s%s" .config.base .input.x }}', "<https://a.test/v1a/b>"),
        ('{{ index . "input" "x" }}', "<a/b>"),
        ("{{ $x := .config.base }}{{ $x }}", "<https://a.test/v1>"),
        ("{{ with .input }}{{ .config.x }}{{ end }}", "<evil/>"),
        ("{{ with .config }}{{ .n }}{{ end }}", "<7>"),
        ("{{ range .input.list }}{{ . }}{{ end }}", "<1/2><3>"),
        ("{{ range .input.list }}{{ $.config.n }}{{ end }}", "77"),
        ('{{ define "t" }}{{ .config.x }}{{ $.config.x }}{{ end }}{{ template "t" .input }}', "<evil/><evil/>"),
        ('{{ $_ := set .config "base" .input.x }}{{ .config.base }}', "<a/b>"),
        ("{{ if .input.x }}{{ .config.n }}{{ end }}", "7"),
    ],
)
def test_only_values_of_trusted_roots_are_printed_unchanged(text: str, expected: str) -> None:
    assert template.compile(text, dialect="compozy").render(DATA, escape=ESCAPE) == expected


def test_nothing_is_escaped_by_default() -> None:
    assert template.compile("{{ .input.x }}", dialect="compozy").render(DATA) == "a/b"
