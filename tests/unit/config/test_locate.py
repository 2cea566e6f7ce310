"""An offset in the value of a scalar is mapped to that character in the file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.config.nodes import MappingNode, ScalarNode, child
from compozy.config.parse import parse_yaml

WORDS = st.text("abcé𝄞 {}.|:#", min_size=1, max_size=20).map(str.strip).filter(bool)


def scalar_in(text: str) -> ScalarNode:
    parsed = parse_yaml(text.encode(), file="f")
    assert isinstance(parsed.node, MappingNode)
    found = child(parsed.node, "k")
    assert isinstance(found, ScalarNode)
    return found


def char_at(text: str, scalar: ScalarNode, offset: int) -> str:
    place = scalar.locate(offset)
    return text.replace("\r\n", "\n").split("\n")[place.line - 1][place.col - 1 : place.col]


def assert_located(text: str) -> None:
    """Check that every visible character of the value is found at its location."""
    scalar = scalar_in(text)
    assert scalar.text.strip()
    for offset, char in enumerate(scalar.text):
        if not char.isspace():
            assert char_at(text, scalar, offset) == char, (offset, scalar.text)


@pytest.mark.parametrize(
    "text",
    [
        "k: plain text\n",
        "k: plain\n  over lines\n\n  and more\n",
        "k: 'it''s quoted'\n",
        "k: 'quoted\n\n\n  over   lines  \n  end'\n",
        'k: "with {{ .x }} in"\n',
        'k: "over  \n\n  lines \\\n   joined"\n',
        "k: |\n  literal\n    deeper\n\n  end\n",
        "k: |+\n  keep\n\n\n",
        "k: |2-\n    two more\n  end\n",
        "k: >\n  folded\n  text\n\n  next\n\n\n    deeper\n    lines\n  back\n  end\n",
        "k: >-   # a comment\n\n\n  after empty lines\n  end\n",
        "k: &anchor !!str |\n  marked\n",
        "k: &anchor 'marked'\n",
        "k: |\r\n  windows\r\n  lines\r\n",
        "- x\n".replace("- x", "k: >\n\n  one\n   two\n  three"),
    ],
)
def test_every_character_is_found(text: str) -> None:
    assert_located(text)


def test_escapes_count_as_one_character() -> None:
    scalar = scalar_in('k: "a\\tb\\x41\\u00e9\\U0001D11E\\"c"\n')
    assert scalar.text == 'a\tbAé\U0001d11e"c'
    assert [scalar.locate(offset).col for offset in range(9)] == [5, 6, 8, 9, 13, 19, 29, 31, 32]


def test_offsets_outside_are_clamped() -> None:
    scalar = scalar_in("k: 'abc'\n")
    assert scalar.locate(-5).col == 5
    assert scalar.locate(99).col == 8


@given(st.lists(WORDS, min_size=1, max_size=5), st.sampled_from(["|", ">", "|-", ">-", "|+"]))
def test_block_scalars(lines: list[str], header: str) -> None:
    assert_located(f"k: {header}\n" + "".join(f"  {line}\n" for line in lines))


@given(st.text('ab "\\/\n\té𝄞{}', min_size=1, max_size=30))
def test_double_quoted_text_as_json_writes_it(value: str) -> None:
    text = f"k: {json.dumps(value, ensure_ascii=False)}\n"
    scalar = scalar_in(text)
    assert scalar.text == value
    for offset, char in enumerate(value):
        assert char_at(text, scalar, offset) == ("\\" if char in '"\\\n\t' else char)


@given(WORDS)
def test_single_quoted_text(value: str) -> None:
    assert_located("k: '" + value.replace("'", "''") + "'\n")
