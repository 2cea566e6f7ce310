"""DOCX: the visible text of a document is neither lost, doubled nor changed."""

from __future__ import annotations

import io
import time
import zipfile

import pytest

from compozy.errors import DocumentError
from compozy.knowledge.read import docx_package
from compozy.knowledge.read.kinds import read_document

WORD = 'xmlns:w="w" xmlns:mc="m" xmlns:wps="s" xmlns:m="o"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


def make(body: str, **parts: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"<w:document {WORD}><w:body>{body}</w:body></w:document>")
        for name, content in parts.items():
            archive.writestr(f"word/{name}.xml", f"<w:part {WORD}>{content}</w:part>")
    return made.getvalue()


def text(body: str, **parts: str) -> str:
    return read_document("a.docx", make(body, **parts)).text


def run(content: str) -> str:
    return f"<w:r><w:t>{content}</w:t></w:r>"


def paragraph(content: str, properties: str = "") -> str:
    content = content if content.startswith("<") else run(content)
    return f"<w:p><w:pPr>{properties}</w:pPr>{content}</w:p>"


def item(content: str, list_id: str, level: int = 0) -> str:
    return paragraph(content, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_id}"/></w:numPr>')


def table(*rows: list[str]) -> str:
    cells = ["".join(f"<w:tc>{cell}</w:tc>" for cell in row) for row in rows]
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


BOX = "<w:txbxContent>" + paragraph("Box") + "</w:txbxContent>"
STYLES = (
    '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="9"/></w:numPr></w:pPr>'
    '</w:style><w:style w:styleId="Abschnitt"><w:name w:val="Abschnitt"/><w:basedOn w:val="berschrift2"/></w:style>'
    '<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:styleId="Eigene"><w:name w:val="Eigene"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>'
    '<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>'
    '<w:style w:styleId="a"><w:name w:val="a"/><w:basedOn w:val="b"/></w:style>'
    '<w:style w:styleId="b"><w:name w:val="b"/><w:basedOn w:val="a"/></w:style>'
)
LEVELS = (
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%2)"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2.%3"/></w:lvl>'
)
NUMBERING = (
    f'<w:abstractNum w:abstractNumId="1">{LEVELS}</w:abstractNum>'
    '<w:abstractNum w:abstractNumId="2"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>'
    '<w:abstractNum w:abstractNumId="3"><w:lvl w:ilvl="0"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1"/></w:lvl>'
    "</w:abstractNum>"
    '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="2"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/>'
    '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:lvlOverride></w:num>'
    '<w:num w:numId="9"><w:abstractNumId w:val="3"/></w:num>'
)


def test_hyphens_that_do_not_break_are_kept() -> None:
    body = (
        "<w:p><w:r><w:t>Order A</w:t><w:noBreakHyphen/><w:t>4711, 1</w:t><w:noBreakHyphen/><w:t>24 h</w:t></w:r></w:p>"
    )
    assert text(body) == "Order A-4711, 1-24 h"
    assert text(paragraph("<w:r><w:t>hy</w:t><w:softHyphen/><w:t>phen</w:t></w:r>")) == "hyphen"


@pytest.mark.parametrize(
    "alternatives",
    [
        f"<mc:Choice>{BOX}</mc:Choice><mc:Fallback>{BOX}</mc:Fallback>",
        f"<mc:Choice>{BOX}</mc:Choice>",
        f"<mc:Choice><wps:chart/></mc:Choice><mc:Fallback>{BOX}</mc:Fallback>",
    ],
)
def test_a_text_box_is_read_once(alternatives: str) -> None:
    box = f"<w:r><mc:AlternateContent>{alternatives}</mc:AlternateContent></w:r>"
    assert text(paragraph(run("Before") + box + run(" and after")) + paragraph("Next")) == (
        "Before and after\n\nBox\n\nNext"
    )


def test_notes_headers_and_comments_are_read() -> None:
    reference = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    found = text(
        paragraph(run("The contract ends") + reference + '<w:r><w:endnoteReference w:id="1"/></w:r>'),
        footnotes='<w:footnote w:id="0" w:type="separator"><w:p><w:r><w:t>no</w:t></w:r></w:p></w:footnote>'
        f'<w:footnote w:id="2">{paragraph("in 2031")}</w:footnote>',
        endnotes=f'<w:endnote w:id="1">{paragraph("or later")}</w:endnote>',
        comments=f'<w:comment w:id="1" w:author="Ada">{paragraph("Check this")}</w:comment>',
        header1=paragraph("Confidential"),
        header2=paragraph("Confidential"),
        footer1=paragraph("Company"),
    )
    assert found == (
        "The contract ends[^2][^e1]\n\nCompany\n\nConfidential\n\n[^2]: in 2031\n\n[^e1]: or later\n\n"
        "Comment by Ada: Check this"
    )


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("berschrift2", "## One"),
        ("Abschnitt", "## One"),
        ("Eigene", "### One"),
        ("Titel", "# One"),
        ("Heading3", "### One"),
        ("berschrift1", "# I One"),
        ("a", "One"),
        ("unknown", "One"),
    ],
)
def test_headings_by_the_names_of_their_styles(style: str, line: str) -> None:
    body = paragraph("One", f'<w:pStyle w:val="{style}"/>')
    assert text(body, styles=STYLES, numbering=NUMBERING) == line


def test_a_style_that_was_changed_is_the_new_one() -> None:
    change = '<w:pPrChange><w:pPr><w:pStyle w:val="Heading1"/></w:pPr></w:pPrChange>'
    assert text(paragraph("One", change)) == "One"


def test_numbers_and_levels_of_lists() -> None:
    body = item("one", "1") + item("two", "1") + item("a", "1", 1) + item("b", "1", 1) + item("deep", "1", 2)
    body += item("three", "1") + item("a", "1", 1) + paragraph("Text") + item("five", "3") + item("six", "3")
    body += item("four", "1") + item("point", "2") + item("none", "0")
    assert text(body, numbering=NUMBERING) == (
        "1. one\n2. two\n   a) a\n   b) b\n      2.b.1 deep\n3. three\n   a) a\n\nText\n\n5. five\n6. six\n"
        "4. four\n- point\n\nnone"
    )
    assert text(item("without a definition", "7")) == "- without a definition"


def test_tables_are_markdown() -> None:
    wide = '<w:tcPr><w:gridSpan w:val="2"/></w:tcPr>'
    rows = table(
        [paragraph("Name"), paragraph("Age"), paragraph("City")],
        [paragraph("Ada | Co") + paragraph("Ltd"), f"{wide}{paragraph('36')}"],
    )
    assert text(paragraph("Before") + rows) == (
        "Before\n\n| Name | Age | City |\n| --- | --- | --- |\n| Ada \\| Co Ltd | 36 |  |"
    )


def test_tables_that_only_place_text_are_text() -> None:
    heading = paragraph("One", '<w:pStyle w:val="Heading1"/>')
    assert text(table([heading + item("a", "1"), paragraph("right")])) == "# One\n\n- a\n\nright"
    assert text(table([paragraph("a")], [paragraph("b")])) == "a\n\nb"
    assert text(table([table([paragraph("a"), paragraph("b")]), paragraph("c")])) == "| a | b |\n| --- | --- |\n\nc"


def test_text_in_every_wrapper_is_read_and_deleted_text_is_not() -> None:
    wrapped = "".join(
        f"<w:{name}>{run(f'{name} ')}</w:{name}>"
        for name in ("ins", "moveTo", "fldSimple", "hyperlink", "smartTag", "bdo", "dir", "customXml", "sdt")
    )
    ruby = f"<w:r><w:ruby><w:rt>{run('no')}</w:rt><w:rubyBase>{run('base ')}</w:rubyBase></w:ruby></w:r>"
    math = "<m:oMath><m:r><m:t>E=mc</m:t></m:r></m:oMath>"
    symbol = '<w:r><w:sym w:font="Symbol" w:char="F061"/><w:sym w:font="Wingdings" w:char="F0FC"/></w:r>'
    gone = f"<w:del><w:r><w:delText>no</w:delText></w:r></w:del><w:moveFrom>{run('no')}</w:moveFrom>"
    assert text(paragraph(wrapped + ruby + gone + math + symbol)) == (
        "ins moveTo fldSimple hyperlink smartTag bdo dir customXml sdt base E=mcα"
    )


def test_deleted_rows_and_ends_of_paragraphs() -> None:
    row = f"<w:tr><w:trPr><w:del/></w:trPr><w:tc>{paragraph('no')}</w:tc><w:tc>{paragraph('no')}</w:tc></w:tr>"
    kept = table([paragraph("a"), paragraph("b")]).replace("</w:tbl>", f"{row}</w:tbl>")
    assert text(kept) == "| a | b |\n| --- | --- |"
    assert text(paragraph("One ", "<w:rPr><w:del/></w:rPr>") + paragraph("line")) == "One line"


def test_raised_digits_stay_apart() -> None:
    raised = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>{}</w:t></w:r>'
    assert text(paragraph(run("10") + raised.format("5") + run(" the 1") + raised.format("st"))) == "10^5 the 1st"


def test_tabs_in_text_and_not_those_of_the_ruler() -> None:
    body = paragraph("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r>", "<w:tabs><w:tab w:val='left'/></w:tabs>")
    assert text(body) == "a\tb"


def test_the_main_part_may_have_another_name() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document2.xml", f"<w:document {WORD}>{paragraph('Hello')}</w:document>")
        archive.writestr("_rels/.rels", f'<R><Relationship Type="{OFFICE}" Target="/word/document2.xml"/></R>')
    assert read_document("a.docx", made.getvalue()).text == "Hello"


def test_encrypted_and_old_documents_are_named() -> None:
    with pytest.raises(DocumentError, match="needs a password, or is in the old format"):
        read_document("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))


def test_all_parts_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx_package, "MAX_UNPACKED", 1_000_000)
    parts = {f"header{number}": paragraph("a" * 300_000 + str(number)) for number in range(5)}
    with pytest.raises(DocumentError, match="unpacks to more than"):
        text(paragraph("b"), **parts)


def test_a_large_document_takes_seconds() -> None:
    line = "".join(f"<w:r><w:rPr><w:b/></w:rPr><w:t>word{number} and more</w:t></w:r>" for number in range(8))
    began = time.process_time()
    found = text(f"<w:p><w:pPr/>{line}</w:p>" * 10_000)
    assert (found.count("word7"), time.process_time() - began < 8) == (10_000, True)


@pytest.mark.parametrize(
    "body",
    [
        "<w:tr/><w:tc/>",
        f"<w:tbl>{paragraph('x')}</w:tbl>" + paragraph("y"),
        "<w:r><w:t>outside</w:t></w:r>" + paragraph("y"),
        '<w:p><w:r><w:sym w:char="zz"/><w:sym/></w:r></w:p>' + paragraph("y"),
        paragraph("y", '<w:numPr><w:ilvl w:val="-1"/><w:numId w:val="99999999999"/></w:numPr>'),
        paragraph("y", '<w:outlineLvl w:val="x"/>'),
    ],
)
def test_odd_documents_are_read_as_far_as_possible(body: str) -> None:
    assert "y" in text(body + paragraph("y"))


def element(name: str, *children: str) -> str:
    return f"<m:{name}>{''.join(children)}</m:{name}>"


def signs(text: str) -> str:
    return element("r", element("t", text))


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        (signs("x=") + element("f", element("num", signs("1")), element("den", signs("2"))), "x=1/2"),
        (element("f", element("num", signs("a+b")), element("den", signs("2c"))), "(a+b)/2c"),
        (signs("f") + element("d", element("dPr"), element("e", signs("x")), element("e", signs("y"))), "f(x|y)"),
        (
            element("d", element("dPr", '<m:begChr m:val="["/><m:endChr m:val=""/>'), element("e", signs("x"))),
            "[x",
        ),
        (element("sSup", element("e", signs("10")), element("sup", signs("-5"))), "10^(-5)"),
        (element("sSub", element("e", signs("x")), element("sub", signs("i"))), "x_i"),
        (
            element(
                "nary",
                element("naryPr", '<m:chr m:val="∑"/>'),
                *(element("sub", signs("i=0")), element("sup", signs("n")), element("e", signs(" i"))),
            ),
            "∑_(i=0)^n i",
        ),
        (element("rad", element("deg"), element("e", signs("x+1"))), "√(x+1)"),
        (element("func", element("fName", signs("sin")), element("e", signs("x"))), "sin x"),
    ],
)
def test_formulas_keep_their_meaning_in_one_line(formula: str, shown: str) -> None:
    body = f"<w:p>{run('See ')}<m:oMath>{formula}</m:oMath>{run('.')}</w:p>"
    assert text(body) == f"See {shown}."
