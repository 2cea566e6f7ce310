"""PDFs: encrypted files, letters as fonts draw them, and the pages of chunks."""

from __future__ import annotations

import io
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from tests.unit.knowledge.test_read import make_pdf

from compozy.errors import DocumentError
from compozy.knowledge.chunk import Chunking, cut
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.kinds import read_document
from compozy.knowledge.tokenize import query_words, tokenize

ROOT = Path(__file__).parents[3]
ALGORITHMS = ["RC4-40", "RC4-128", "AES-128", "AES-256", "AES-256-R5"]


def encrypted(algorithm: str, password: str = "") -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(make_pdf("Hello from a PDF"))))
    writer.encrypt(password, owner_password="owner", algorithm=algorithm)
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def pages(*texts: str) -> bytes:
    writer = PdfWriter()
    for text in texts:
        writer.append(io.BytesIO(make_pdf(text)))
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_document_that_is_only_protected_against_changes_is_read(algorithm: str) -> None:
    assert read_document("a.pdf", encrypted(algorithm)).text == "Hello from a PDF"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_required_password_is_named(algorithm: str) -> None:
    with pytest.raises(DocumentError, match="the PDF needs a password"):
        read_document("a.pdf", encrypted(algorithm, "secret"))


def test_a_package_that_is_missing_for_aes_is_named(tmp_path: Path) -> None:
    """In a separate process, because pypdf chooses its package when it is imported."""
    (tmp_path / "a.pdf").write_bytes(encrypted("AES-256"))
    program = (
        "import sys; sys.modules['cryptography'] = sys.modules['Crypto'] = None\n"
        "from pathlib import Path\n"
        "from compozy.errors import DocumentError\n"
        "from compozy.knowledge.read.kinds import read_document\n"
        "try: read_document('a.pdf', Path(sys.argv[1]).read_bytes())\n"
        "except DocumentError as error: print(error.message, '|', error.hint)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.pdf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    message, _, hint = done.stdout.partition(" | ")
    assert message == "reading encrypted PDF needs a package that is not installed (cryptography)", done.stderr
    assert "'compozy[knowledge]'" in hint


def test_extras_that_read_pdf_read_encrypted_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    for name in ("local", "knowledge"):
        packages = {requirement.partition(">")[0] for requirement in extras[name]}
        assert {"pypdf", "cryptography"} <= packages, name
    locked = (ROOT / "requirements/local.txt").read_text()
    assert "\npypdf==" in locked
    assert "\ncryptography==" in locked


def test_letters_that_fonts_draw_are_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    from pypdf import PageObject

    def extract(_: PageObject) -> str:
        return "a certi\ufb01cate, o\ufb03ce: \ufeb3\ufefc \u2f00 10\u2075 \u00bd x\u00b2 \u2122"

    monkeypatch.setattr(PageObject, "extract_text", extract)
    found = read_document("a.pdf", make_pdf("x")).text
    assert found == "a certificate, office: \u0633\u0644\u0627 \u4e00 10\u2075 \u00bd x\u00b2 \u2122"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("certi\ufb01cate", ["certificate"]),
        ("CERTIFICATE Certificate", ["certificate"]),
        ("o\ufb03ce", ["office"]),
        ("\uff21\uff22\uff23\uff11", ["abc1"]),
        ("\U0001d400\U0001d41b", ["ab"]),
        ("\u212bngstr\u00f6m", ["angstrom"]),
        ("\uff76\uff9e", ["\u30ac"]),
        ("\u0130stanbul", ["istanbul"]),
        ("\ud55c\uae00", ["\ud55c\uae00"]),
        ("certi\u00adfi\u2060cate", ["certificate"]),
    ],
)
def test_words_are_equal_in_any_unicode_form(text: str, words: list[str]) -> None:
    assert list(dict.fromkeys(tokenize(text))) == words
    assert query_words(text) == words


def test_chunks_know_the_page_that_they_start_on() -> None:
    content = read_document("a.pdf", pages("one two three", "", "four five six", "seven eight nine"))
    chunking = Chunking(size=14, overlap=0, count_tokens=len)
    found = [(piece.text, piece.page) for piece in cut("a.pdf", content, chunking, space="kb")]
    assert found == [("one two three", 1), ("four five six", 3), ("seven eight", 4), ("nine", 4)]


def test_pages_are_right_without_tags_and_in_long_texts() -> None:
    content = DocumentText(text="<b>one</b>\n\n<i>two\n\nthree", pages=(0, 12, 20))
    chunking = Chunking(size=5, overlap=0, count_tokens=len, remove_html=True)
    assert [(each.text, each.page) for each in cut("a", content, chunking, space="kb")] == [
        ("one", 1),
        ("two", 2),
        ("three", 3),
    ]
    words = [f"{number:09}" for number in range(60_000)]
    content = DocumentText(text="\n".join(words), pages=tuple(range(0, 600_000, 1000)))
    chunking = Chunking(size=900, overlap=0, count_tokens=len)
    for piece in cut("a", content, chunking, space="kb"):
        assert piece.page == int(piece.text[:9]) // 100 + 1


def test_a_document_without_pages_has_no_page_numbers() -> None:
    content = read_document("a.md", b"# One\n\ntwo")
    (piece,) = cut("a.md", content, Chunking(size=50, overlap=0, count_tokens=len), space="kb")
    assert piece.page is None
