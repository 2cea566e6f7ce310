"""YAML 1.2 scalars, keys, merges, limits, and the two parsers below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.faulty.corpus import FOLDER, read_case

from compozy.config.compose import MAX_NODES
from compozy.config.nodes import ScalarNode, key_place_at, node_at, place_at, to_value
from compozy.config.parse import MAX_BYTES, parse_yaml, read_yaml
from compozy.errors import SourceLocation


def value_of(text: str) -> Any:
    parsed = parse_yaml(text.encode(), file="f.yaml")
    assert parsed.node is not None
    assert not parsed.faults, parsed.faults
    return to_value(parsed.node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(word, word) for word in ("no", "No", "yes", "on", "off", "y", "n", "2024-01-02", "1:30:00", "0777", "007")],
        *[(word, word) for word in ("-01", "0b11", "1_000", "0o8", "0xG", ".", "+", "e5", "1e", "NULL_", "=", "00.5")],
        *[(word, True) for word in ("true", "True", "TRUE")],
        *[(word, False) for word in ("false", "False", "FALSE")],
        *[(word, None) for word in ("null", "Null", "NULL", "~", "")],
        *[("12", 12), ("-12", -12), ("+3", 3), ("0", 0), ("0o17", 15), ("0x1F", 31), ("-0", 0)],
        *[("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), ("-0.5e-1", -0.05), ("+.5", 0.5)],
        *[('"12"', "12"), ("'true'", "true"), ("!!str 12", "12"), ("! 12", "12"), ("!!int 7", 7), ("!!float 7", 7)],
    ],
)
def test_scalar(text: str, value: object) -> None:
    found = value_of(f"key: {text}\n")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


def test_a_number_of_thousands_of_digits_is_an_error() -> None:
    faults = parse_yaml(b"key: " + b"9" * 5000, file="f").faults
    assert [fault.message for fault in faults] == ["9" * 40 + " is not a number that can be stored"]


def test_merge_keys_fill_in_what_is_absent() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nuse:\n  <<: [*base, *more]\n  b: 5\n'<<': 6\n"
    assert value_of(text) == {
        "base": {"a": 1, "b": 2},
        "more": {"b": 3, "c": 4},
        "use": {"b": 5, "a": 1, "c": 4},
        "<<": 6,
    }


def test_locations_of_keys_and_values() -> None:
    node = parse_yaml("\ufeffa:\n  b: [x, {c: y}]\n".encode(), file="f.yaml").node
    assert node is not None
    assert place_at(node, ("a", "b", 1, "c")) == SourceLocation(file="f.yaml", line=2, col=14)
    assert key_place_at(node, ("a", "b")) == SourceLocation(file="f.yaml", line=2, col=3)
    assert place_at(node, ("a", "b", 7, "c")) == SourceLocation(file="f.yaml", line=2, col=6)
    assert key_place_at(node, ("a", "z")) == SourceLocation(file="f.yaml", line=2, col=3)


def test_a_location_counts_only_real_line_breaks() -> None:
    node = parse_yaml("a: 'x\u2028y'\r\nb: 1\rc: 2\n".encode(), file="f").node
    assert node is not None
    assert [place_at(node, (key,)).line for key in "abc"] == [1, 2, 3]


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85"])
def test_separators_of_yaml_1_1_are_text(char: str, loader: Any) -> None:
    text = f"a: one{char}two\nb: |\n  x{char}  y\n  z\n"
    text += f"c: \"p{char}q\"\nd: 'r{char}s'\n# {char}x\nk{char}: >-\n  v{char}w\n"
    node = parse_yaml(text.encode(), file="f", loader=loader).node
    assert node is not None
    assert to_value(node) == {
        "a": f"one{char}two",
        "b": f"x{char}  y\nz\n",
        "c": f"p{char}q",
        "d": f"r{char}s",
        f"k{char}": f"v{char}w",
    }
    block = node_at(node, ("b",))
    assert isinstance(block, ScalarNode)
    assert block.locate(block.text.index("z")) == SourceLocation(file="f", line=4, col=3)
    quoted = node_at(node, ("c",))
    assert isinstance(quoted, ScalarNode)
    assert quoted.locate(2) == SourceLocation(file="f", line=5, col=7)


def test_private_characters_stay_what_they_are() -> None:
    assert value_of("a: \ue000\u2028\ue001\n") == {"a": "\ue000\u2028\ue001"}


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
def test_the_first_line_of_a_text_may_start_with_a_tab(loader: Any) -> None:
    node = parse_yaml(b"a: |\n  \tone\n  two\nb: >\n\n  \tone\n", file="f", loader=loader).node
    assert node is not None
    assert to_value(node) == {"a": "\tone\ntwo\n", "b": "\n\tone\n"}


def test_a_tab_as_indentation_is_an_error() -> None:
    assert [str(fault) for fault in parse_yaml(b"a:\n\tb: 1\n", file="f").faults] == [
        "f:2:1: a tab cannot indent YAML (use spaces)"
    ]


def test_limits(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    assert [str(fault) for fault in read_yaml(large, file="large.yaml").faults] == [
        "large.yaml: the file is larger than 10 MiB"
    ]
    many = parse_yaml(b"[" + b"a," * MAX_NODES + b"]", file="many.yaml")
    assert many.node is None
    assert many.faults[0].message == "the file holds more than 200000 values"


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    assert read_yaml(tmp_path, file="folder").faults[0].message == "cannot be read: Is a directory"


def sources() -> list[bytes]:
    found = [data for path in sorted(FOLDER.glob("*.txt")) for data in read_case(path).files.values()]
    # The slow parser accepts a byte order mark at the start of any line.
    return [data for data in found if b"\n\xef\xbb\xbf" not in data]


@pytest.mark.parametrize("data", sources())
def test_both_parsers_agree(data: bytes) -> None:
    fast = parse_yaml(data, file="f", loader=yaml.CSafeLoader)
    slow = parse_yaml(data, file="f", loader=yaml.SafeLoader)
    assert (fast.node is None) == (slow.node is None)
    assert [fault.message for fault in fast.faults] == [fault.message for fault in slow.faults]
    assert [fault.location.line for fault in fast.faults] == [fault.location.line for fault in slow.faults]
    if fast.node and slow.node:
        assert to_value(fast.node) == to_value(slow.node)
