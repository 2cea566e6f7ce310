"""`${VAR}` in values, and the `.env` file."""

from __future__ import annotations

from pathlib import Path

import pytest

from compozy.config.envfile import read_env_file
from compozy.config.interpolate import interpolate
from compozy.config.nodes import YamlPath, to_value
from compozy.config.parse import parse_yaml


def filled(text: str, **environ: str) -> tuple[object, list[str], dict[YamlPath, str]]:
    node = parse_yaml(text.encode(), file="f").node
    assert node is not None
    result = interpolate(node, environ)
    return to_value(result.node), [fault.message for fault in result.faults], dict(result.missing)


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}", {"A": "8080"}, 8080),
        ("${A}", {"A": "true"}, True),
        ("'${A}'", {"A": "8080"}, "8080"),
        ('"${A}"', {"A": "null"}, "null"),
        ("${A:-8080}", {}, 8080),
        ("${A:-8080}", {"A": ""}, 8080),
        ("${A:-x}", {"A": "y"}, "y"),
        ("${A:-}", {}, None),
        ("'${A:-}'", {}, ""),
        ("http://${H}:${P:-80}/", {"H": "h"}, "http://h:80/"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$${A} ${A}", {"A": "x"}, "${A} x"),
        ("$A costs $5", {"A": "x"}, "$A costs $5"),
        ("${A}", {"A": "${B}", "B": "x"}, "${B}"),
        ("${A}", {"A": "a: b\nc: [d"}, "a: b\nc: [d"),
        ("${A}", {"A": "*alias"}, "*alias"),
        ("${A}", {"A": ".inf"}, ".inf"),
        ("${A:-http://localhost:6333}", {}, "http://localhost:6333"),
    ],
)
def test_value(text: str, environ: dict[str, str], value: object) -> None:
    assert filled(f"key: {text}\n", **environ) == ({"key": value}, [], {})


def test_keys_are_not_interpolated() -> None:
    assert filled("${A}: 1\n", A="x")[0] == {"${A}": 1}


def test_missing_key_is_noted_and_not_an_error() -> None:
    text = "providers:\n  - api_key: ${KEY}\n  - api_key: key-${EMPTY}\n  - api_key: ${SET}\n"
    value, faults, missing = filled(text, EMPTY="", SET="sk")
    assert value == {"providers": [{"api_key": None}, {"api_key": None}, {"api_key": "sk"}]}
    assert faults == []
    assert missing == {("providers", 0, "api_key"): "KEY", ("providers", 1, "api_key"): "EMPTY"}


def test_all_unset_variables_are_reported() -> None:
    assert filled("a: ${A} ${B}\nb: ['${C}']\n", B="")[1] == [
        "the variable A is not set",
        "the variable B is empty",
        "the variable C is not set",
    ]


def test_env_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# comment\nA=1\nexport B='two words'\nC=\"line\\nbreak\"\nD=\nE=${A}\n F = x # note\n")
    read = read_env_file(path, file=".env")
    assert read.values == {"A": "1", "B": "two words", "C": "line\nbreak", "D": "", "E": "${A}", "F": "x"}
    assert read.faults == ()
    assert {name: place.line for name, place in read.places.items()} == {"A": 2, "B": 3, "C": 4, "D": 5, "E": 6, "F": 7}
    assert read.merged_under({"A": "", "Z": "z"})["A"] == ""
    assert "two words" not in repr(read)


def test_invalid_env_file(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env", file=".env").values == {}
    (tmp_path / "bin.env").write_bytes(b"\xff\xfe")
    assert [str(fault) for fault in read_env_file(tmp_path / "bin.env", file=".env").faults] == [
        ".env: the file is not UTF-8 text"
    ]
    assert "cannot be read" in read_env_file(tmp_path, file=".env").faults[0].message
