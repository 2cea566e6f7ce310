"""Texts are cut into chunks of limited size, nothing is lost, and IDs of unchanged chunks stay the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compozy.knowledge.chunk import Chunking, Piece, cut
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.retrieve import fuse
from compozy.knowledge.store.protocol import Match
from compozy.knowledge.tokenize import query_words, tokenize
from compozy.knowledge.tokens import estimate_tokens


def pieces_of(text: str, *, size: int = 20, markdown: bool = True, document: str = "a.md") -> list[Piece]:
    chunking = Chunking(size=size, overlap=0, count_tokens=estimate_tokens)
    return cut(document, DocumentText(text=text, is_markdown=markdown), chunking, space="main")


def squeeze(text: str) -> str:
    return "".join(text.split())


@given(st.text(alphabet="ab .\n#-*`é漢", min_size=1, max_size=400), st.booleans())
@settings(deadline=None)
def test_chunks_are_limited_and_contain_all_of_the_text(text: str, markdown: bool) -> None:
    found = pieces_of(text, markdown=markdown)
    assert all(estimate_tokens(piece.text) <= 20 for piece in found)
    assert squeeze("".join(piece.text for piece in found)) == squeeze(text)
    assert [piece.ordinal for piece in found] == list(range(len(found)))
    assert len({piece.id for piece in found}) == len(found)


def test_a_change_keeps_the_ids_of_the_other_chunks() -> None:
    sections = [f"## Part {n}\n\n{'words of part ' * 5}{n}" for n in range(6)]
    before = {piece.id for piece in pieces_of("\n\n".join(sections), size=30)}
    sections[3] = "## Part 3\n\nanother text altogether"
    after = {piece.id for piece in pieces_of("\n\n".join(sections), size=30)}
    assert len(before - after) == len(after - before) == 1


def test_ids_depend_on_document_and_base_and_place_among_equals() -> None:
    same = pieces_of("x\n\n" * 30, size=2, markdown=False)
    assert len({piece.id for piece in same}) == len(same)
    assert {p.id for p in pieces_of("a")} & {p.id for p in pieces_of("a", document="b.md")} == set()


def test_one_line_without_an_end_is_cut_in_time() -> None:
    found = pieces_of("word " * 200_000, size=500, markdown=False)
    assert sum(len(squeeze(piece.text)) for piece in found) == 800_000


def test_words_contain_no_operator_of_a_query_language() -> None:
    assert query_words('What\'s "C++" & (naïve) OR -x:1*? 漢字 what') == ["what", "naive", "or", "1", "漢字"]
    assert query_words("?!") == []
    assert len(query_words(" ".join(f"w{n}" for n in range(1000)))) == 64


def test_single_letters_are_searched_only_if_there_is_nothing_else() -> None:
    assert query_words("Don't I know a thing?") == ["don", "know", "thing"]
    assert query_words("C or D") == ["or"]
    assert query_words("C, É!") == ["c", "e"]
    assert query_words("水 7 й") == ["水", "7"]


def test_words_are_compared_without_accents_and_case() -> None:
    assert tokenize("ÜBER Łódź, Straße İzmir, Йод") == ["uber", "łodz", "strasse", "izmir", "иод"]
    assert tokenize("u\u0308ber") == tokenize("über") == ["uber"]
    assert tokenize("한국어") == ["한국어"]


def match(name: str, score: float = 0.0) -> Match:
    return Match(id=name, document=name, title="", ordinal=0, text="", metadata={}, score=score)


def test_fusion_prefers_what_both_lists_have() -> None:
    fused = fuse([[match("a"), match("b"), match("c")], [match("b"), match("d")]])
    assert [each.id for each in fused] == ["b", "a", "d", "c"]
    assert fuse([[match("a")], [match("a")]])[0].score == 1.0
    assert fuse([[], []]) == []


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Café", "cafe"),
        ("CAFÉ", "cafe\u0301"),
        ("STRASSE", "straße"),
        ("STRAẞE", "strasse"),
        ("ISPARTA", "ısparta"),
        ("İstanbul", "istanbul"),
        ("ISTANBUL", "İSTANBUL"),
        ("ΟΔΟΣ", "οδος"),
        ("Ἀθήνα", "αθηνα"),
        ("ＦＵＬＬ", "full"),
    ],
)
def test_words_are_compared_without_case_and_accents(written: str, asked: str) -> None:
    assert tokenize(written) == tokenize(asked)
