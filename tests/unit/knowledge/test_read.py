"""Documents of every type become text, and hostile documents are an error."""

from __future__ import annotations

import io
import time
import zipfile
from typing import Any

import pytest

from compozy.errors import DocumentError
from compozy.knowledge.read import docx_package
from compozy.knowledge.read.kinds import apply_charset, read_document, suffix_of_media_type
from compozy.knowledge.read.sandbox import read_in_sandbox

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def make_docx(body: str, *, head: str = "", core: str | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        text = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
        archive.writestr("word/document.xml", text)
        if core is not None:
            archive.writestr("docProps/core.xml", core)
    return made.getvalue()


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def make_pdf(text: str) -> bytes:
    stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    made, places = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(made)
    made += b"xref\n0 6\n0000000000 65535 f \n" + table
    return made + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % start


def test_markdown_has_a_title_and_front_matter() -> None:
    found = read_document("a.md", b"---\ntitle: 'Big Title'\nteam: core\ntags: [a, b]\n---\n# Heading\n\ntext")
    assert (found.title, found.metadata, found.text, found.is_markdown) == (
        "Big Title",
        {"team": "core"},
        "# Heading\n\ntext",
        True,
    )
    assert read_document("a.md", b"x\n# First #\n## Second").title == "First"


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        ("---\n\nThe launch is on Friday: bring cake.\n\n---\n\nSecond part.", None),
        ("---\nSpeaker: Ada\nThe launch is on Friday.\n---\nSecond part.", None),
        ("---\n# A slide\n---\nSecond slide.", None),
        ("---\nThe launch\n---\n", None),
        ("---\nThe launch is on Friday: bring cake.\n---\nSecond part.", None),
        ('---\n"quoted": x\nüber: y\nteam: core\n---\nBody', {"team": "core", "quoted": "x"}),
        ("---\ntitle: no end\n", None),
        ("---", None),
        ("---\ntags:\n- a\n-\ntext: |\n  more\n\n  lines\nteam: core\n---\nBody", {"team": "core"}),
        (
            "---\nteam: core # ours\nwho: 'Ada''s'\nsize: \"5\\\" # x\"\n---\nBody",
            {"team": "core", "who": "Ada's", "size": '5" # x'},
        ),
        ("---\n# a comment\nteam: 'core'\nlong name: x\nlist: [\n  a,\n]\n...\nBody", {"team": "core"}),
    ],
)
def test_only_keys_and_values_are_front_matter(text: str, metadata: dict[str, str] | None) -> None:
    found = read_document("a.md", text.encode())
    assert found.text == (text if metadata is None else "Body")
    assert found.metadata == (metadata or {})


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("```bash\n# install it\nmake\n```\n\n# Setup guide", "Setup guide"),
        ("~~~\n```\n# no\n~~~~\n# Setup guide", "Setup guide"),
        ("````\n```\n# no\n````\n# Setup guide ##", "Setup guide"),
        ("<!--\n# no\n-->\n# Setup guide", "Setup guide"),
        ("Setup guide\n===========\n\n# Other", "Setup guide"),
        ("#\n#no\n    # no\n# C#", "C#"),
        ("```\n# never closed", ""),
    ],
)
def test_the_title_is_the_first_heading_and_no_comment_in_code(text: str, title: str) -> None:
    assert read_document("a.md", text.encode()).title == title


def test_no_markdown_takes_long() -> None:
    began = time.process_time()
    read_document("a.md", b"# x" + b" #" * 400_000 + b"y\n" + b"---\na: x" + b" " * 400_000 + b"y\n---\n")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("media_type", "data", "text"),
    [
        ("text/html; charset=windows-1251", "<p>Привет".encode("cp1251"), "Привет"),
        ('text/html;charset="KOI8-R"', "<meta charset=utf-8><p>Привет".encode("koi8-r"), "Привет"),
        ("text/plain; Charset=utf-16be", "Grüße".encode("utf-16-be"), "Grüße"),
        ("text/markdown; charset=x-sjis; variant=x", "漢字".encode("cp932"), "漢字"),
        ("text/csv; charset=latin1", "a;b\nGrüße;1".encode("cp1252"), "a: Grüße\nb: 1"),
        ("text/html; charset=utf-8", "<meta charset=latin1><p>Grüße".encode(), "Grüße"),
        # A byte order mark counts before the header, and content that cannot be UTF-8 is not read as UTF-8.
        ("text/plain; charset=windows-1251", "Grüße".encode("utf-8-sig"), "Grüße"),
        ("text/plain; charset=utf-8", "Grüße".encode("cp1252"), "Grüße"),
        ("text/html; charset=nonsense", "<p>Grüße".encode(), "Grüße"),
        ("text/html", '<meta charset="windows-1251"><p>Привет'.encode("cp1251"), "Привет"),
    ],
)
def test_the_charset_of_an_address_takes_precedence(media_type: str, data: bytes, text: str) -> None:
    document = apply_charset(data, media_type)
    assert read_document("", document, suffix=suffix_of_media_type(media_type)).text == text


def test_the_charset_of_an_address_changes_no_pdf() -> None:
    assert apply_charset(b"%PDF-1.4 \xff", "application/pdf; charset=windows-1251") == b"%PDF-1.4 \xff"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße 漢字".encode(), "Grüße 漢字"),
        ("Grüße".encode("utf-8-sig"), "Grüße"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("\ufeffGrüße".encode("utf-32-le"), "Grüße"),
        ("Grüße".encode("cp1252"), "Grüße"),
        (b"a\r\nb\rc", "a\nb\nc"),
        (b"a\0b" + b"c" * 200, "ab" + "c" * 200),
    ],
)
def test_text_in_any_encoding(data: bytes, text: str) -> None:
    assert read_document("a.txt", data).text.removeprefix("\ufeff") == text


def test_html_keeps_structure_and_leaves_scripts() -> None:
    page = (
        b"<html><head><title>The &amp; Page</title><style>p{}</style></head><body><nav>menu</nav><h1>One</h1>"
        b"<p>Two <b>bold</b>\n  words</p><script>alert('x')</script><ul><li>a</li><li>b</li></ul>"
        b"<table><tr><td>c</td><td>d</td></tr></table>"
    )
    found = read_document("a.html", page)
    assert found.title == "The & Page"
    assert found.text == "# One\n\nTwo bold words\n\n- a\n- b\n\n| c | d |\n| --- | --- |"


def test_html_in_its_own_encoding() -> None:
    page = '<meta charset="iso-8859-1"><p>Gr\xfc\xdfe'.encode("latin-1")
    assert read_document("a.html", page).text == "Grüße"


@pytest.mark.parametrize(
    ("head", "data", "text"),
    [
        ('<meta charset="latin1">', "It’s 5 €”".encode("cp1252"), "It’s 5 €”"),
        ('<meta charset="undefined">', "Grüße".encode(), "Grüße"),
        ('<meta charset="punycode">', "Grüße".encode(), "Grüße"),
        ('<meta charset="utf-16">', "Grüße".encode(), "Grüße"),
        ('<meta charset="gb2312">', "漢字".encode("gb18030"), "漢字"),
        ('<meta charset="Shift_JIS">', "漢字".encode("cp932"), "漢字"),
        ('<meta charset="utf-8">', "Grüße ".encode() + b"\xff", "Grüße \ufffd"),
    ],
)
def test_labels_of_html_are_those_of_the_web(head: str, data: bytes, text: str) -> None:
    page = f"<html><head>{head}</head><body><p>".encode() + data
    assert read_document("a.html", page, suffix=".html").text == text


def test_one_bad_byte_does_not_change_the_encoding() -> None:
    data = "Grüße 漢字 ".encode() + b"\xff" + b" Ende"
    assert read_document("a.txt", data, suffix=".txt").text == "Grüße 漢字 \ufffd Ende"


def test_json_with_half_a_character_and_other_line_ends() -> None:
    assert read_document("a.json", b'{"a": "x\\ud83d"}', suffix=".json").text == "a: x\ufffd"
    lines = '{"a": "x\u2028y"}\n{"a": "z"}\n'.encode()
    assert read_document("a.jsonl", lines, suffix=".jsonl").text == "a: x\u2028y\n\na: z"


def test_the_text_of_tables_contains_the_column_of_each_value() -> None:
    assert read_document("a.csv", b"name;age\nAda;36\nBob;\n").text == "name: Ada\nage: 36\n\nname: Bob"
    assert read_document("a.tsv", b"name\tage\nAda\t36\textra\n").text == "name: Ada\nage: 36\ncolumn 3: extra"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (b"sep=;\nname;age\nAda;36,5\n", "name: Ada\nage: 36,5"),
        (b'"sep=|"\r\nname|age\r\nAda|36\r\n', "name: Ada\nage: 36"),
        (b'"last, first, middle";age\n"Lovelace, Ada";36\n', "last, first, middle: Lovelace, Ada\nage: 36"),
        (b'"two\nlines; and, more",age\nx,36\n', "two\nlines; and, more: x\nage: 36"),
        (b'"never closed, a, b', '"never closed, a, b'),
        (b'a,b\n"x,y\nz,1\n', 'a: "x\nb: y\n\na: z\nb: 1'),
        (b'a, "b"\n1, "x, y"\n', "a: 1\nb: x, y"),
        (b"\n\na;b\n1;2\n", "a: 1\nb: 2"),
        (b"# exported, by Ada\n1,2\n", "# exported: 1\nby Ada: 2"),
        (b"# exported\n\na;b\n1;2\n", "# exported\n\na: 1\nb: 2"),
        (b"Report;;\n\na;b;c\n1;2;3\n", "Report\n\na: 1\nb: 2\nc: 3"),
        (b"name;\nAda;36\n", "name: Ada\n: 36"),
        (b"price\n1,5\n2,5\n", "price: 1,5\n\nprice: 2,5"),
        (b"last, first\tage, in years\nx\t5\n", "last, first: x\nage, in years: 5"),
    ],
)
def test_tables_name_their_separator(table: bytes, text: str) -> None:
    assert read_document("a.csv", table).text == text


def test_the_text_of_json_contains_the_keys_of_each_value() -> None:
    data = b'[{"a": {"b": "text", "c": [1, true, null]}}, {"d": "x"}]'
    assert read_document("a.json", data).text == "a.b: text\na.c: 1\na.c: true\n\nd: x"
    assert read_document("a.jsonl", b'{"a": 1}\n{"a": 2}\n').text == "a: 1\n\na: 2"


def test_docx_keeps_headings_lists_and_tables() -> None:
    table = f"<w:tbl><w:tr><w:tc>{paragraph('c')}</w:tc><w:tc>{paragraph('d')}</w:tc></w:tr></w:tbl>"
    body = paragraph("One", "Heading1") + paragraph("Two &amp; three") + table
    core = '<p xmlns:dc="x"><dc:title>Its title</dc:title></p>'
    found = read_document("a.docx", make_docx(body, core=core))
    assert (found.title, found.text) == ("Its title", "# One\n\nTwo & three\n\n| c | d |\n| --- | --- |")


def test_pdf() -> None:
    assert read_document("a.pdf", make_pdf("Hello from a PDF")).text == "Hello from a PDF"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.md", b"", "it contains no text"),
        ("a.md", b" \n\t ", "it contains no text"),
        ("a.txt", bytes(range(32)) * 100, "it is not text"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(500), "it is not text"),
        ("a.txt", b"\xff\xfe\x00", "it has the byte order mark of UTF-16, but it is not UTF-16"),
        ("a.txt", b"\xef\xbb\xbf\xff\xfe\xfd bad", "it has the byte order mark of UTF-8, but it is not UTF-8"),
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', r"in record 2"),
        ("a.docx", b"PK\x03\x04 broken", "the Word document is broken"),
        ("a.docx", b"", "the Word document is broken"),
        ("a.pdf", b"%PDF-1.4 broken", "the PDF is damaged or incomplete"),
        ("a.pdf", b"", "the PDF is damaged or incomplete"),
        ("a.pdf", make_pdf("x")[:-300], ""),
        ("a.exe", b"MZ", "documents that end in '.exe' are not read"),
    ],
)
def test_broken_documents_are_reported(name: str, data: bytes, message: str) -> None:
    if not message:
        # Cut off, but readers may repair them: an answer or an error, nothing else.
        try:
            read_document(name, data)
        except DocumentError:
            return
        return
    with pytest.raises(DocumentError, match=message):
        read_document(name, data)


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx_package, "MAX_UNPACKED", 1_000_000)
    bomb = make_docx(f"<w:p><w:r><w:t>{'a' * 5_000_000}</w:t></w:r></w:p>")
    assert len(bomb) < 20_000
    with pytest.raises(DocumentError, match="unpacks to more than"):
        read_document("a.docx", bomb)


def test_entities_that_blow_up_are_not_read() -> None:
    head = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    with pytest.raises(DocumentError, match="type declaration"):
        read_document("a.docx", make_docx(paragraph("&b;"), head=head))


def test_a_docx_without_its_body_and_one_too_deep() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(DocumentError, match="not a Word document"):
        read_document("a.docx", made.getvalue())
    with pytest.raises(DocumentError, match="nested too deeply"):
        read_document("a.docx", make_docx("<w:a>" * 300 + "</w:a>" * 300))


async def test_a_slow_reader_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from compozy.knowledge.read import sandbox

    monkeypatch.setattr(sandbox, "TIMEOUT_S", 0.05)
    began = time.monotonic()
    with pytest.raises(DocumentError, match=r"takes longer than 0\.05 s"):
        await read_in_sandbox("a.pdf", make_pdf("x"), ".pdf")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(("name", "suffix"), [("a.pdf", ".pdf"), ("a.docx", ".docx")])
async def test_a_document_is_read_in_a_separate_process(name: str, suffix: str) -> None:
    data: Any = make_pdf("Hello") if suffix == ".pdf" else make_docx(paragraph("Hello"))
    assert (await read_in_sandbox(name, data, suffix)).text == "Hello"
    with pytest.raises(DocumentError, match=r"broken|damaged"):
        await read_in_sandbox(name, b"nothing", suffix)


def test_media_types() -> None:
    assert suffix_of_media_type("text/HTML; charset=utf-8") == ".html"
    with pytest.raises(DocumentError, match="'image/png' are not read"):
        suffix_of_media_type("image/png")
