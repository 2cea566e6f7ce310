"""Texts in other encodings are decoded correctly or refused, never decoded into wrong letters."""

from __future__ import annotations

import pytest

from compozy.errors import DocumentError
from compozy.knowledge.read.kinds import read_document

RUSSIAN = "Привет мир, это текст на русском языке."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("これは日本語".encode("iso2022_jp"), "これは日本語"),
        (b"\x1b[1mbold\x1b[0m and \x1b$ costs", "\x1b[1mbold\x1b[0m and \x1b$ costs"),
        ("Grüße ".encode() + "\U0001f600".encode("utf-16-be").hex().encode(), "Grüße d83dde00"),
        (b"face \xed\xa0\xbd\xed\xb8\x80 end", "face \U0001f600 end"),
        ("\ufeff\ufeffName".encode(), "Name"),
        ("\ufeffGrün ".encode() + b"\xff end", "Grün \ufffd end"),
        ("\ufeffa cut text".encode("utf-16-le")[:-1], "a cut tex\ufffd"),
        (b"\xff\xfe" + "half \ud83d".encode("utf-16-le", "surrogatepass") + "x".encode("utf-16-le"), "half \ufffdx"),
        ("\u00c4\u00d6\u00dc".encode("cp1252"), "\u00c4\u00d6\u00dc"),
        ("It’s 5 € — naïve".encode("cp1252"), "It’s 5 € — naïve"),
        (b"a long line of a log " * 10 + b"\x81", "a long line of a log " * 10 + "\ufffd"),
        ("Tea £5 · 20 °C · ½ ".encode("cp1252") * 9, "Tea £5 · 20 °C · ½ " * 9),
        ("\u2014".encode("cp1252") * 50 + b" dashes", "\u2014" * 50 + " dashes"),
    ],
)
def test_text_is_what_was_written(data: bytes, text: str) -> None:
    assert read_document("a.txt", data).text == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "iso8859-5"),
        ("Καλημέρα κόσμε, κείμενο", "iso8859-7"),
        ("שלום עולם, זה טקסט", "cp1255"),
        ("مرحبا بالعالم هذا نص", "cp1256"),
        ("これは日本語のテキストです", "shift_jis"),
        ("これは日本語のテキストです", "euc_jp"),
        ("这是一个中文文本文件", "gbk"),
        ("這是一個中文文本文件", "big5"),
        ("이것은 한국어 텍스트입니다", "cp949"),
        ("Die Tür für Übermut und Gemüse", "cp437"),
        ("Grüße", "utf-16-le"),
        ("name;city\nИван;Москва\nАнна;Казань\n", "cp1251"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_other_encodings_are_refused_and_not_read_as_western(name: str, text: str, encoding: str) -> None:
    with pytest.raises(DocumentError, match=r"neither in UTF-8 nor|encoding is unknown") as caught:
        read_document(name, text.encode(encoding))
    assert caught.value.hint == "save it as UTF-8"


@pytest.mark.parametrize(
    ("name", "data", "is_assumed"),
    [
        ("a.txt", "Grüße".encode("cp1252"), True),
        ("a.csv", "a;b\nGrüße;1".encode("cp1252"), True),
        ("a.txt", "Grüße".encode(), False),
        ("a.txt", "Grüße".encode("utf-16"), False),
        ("a.txt", b"ASCII", False),
        ("a.html", '<meta charset="windows-1252">Grüße'.encode("cp1252"), False),
    ],
)
def test_it_is_known_which_encodings_are_assumed(name: str, data: bytes, is_assumed: bool) -> None:
    assert read_document(name, data).is_assumed is is_assumed


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ('<meta charset = "windows-1251">', "cp1251"),
        ('<meta http-equiv=content-type content="text/html; charset = koi8-r">', "koi8-r"),
        ('<!-- <meta charset="koi8-r"> --><meta charset=windows-1251>', "cp1251"),
        ('<!-- <meta charset="koi8-r"> -->', "utf-8"),
        ('<?xml version="1.0" encoding="ISO-8859-5"?>', "iso8859-5"),
        ('<?xml version="1.0" encoding="ISO-8859-5"?><meta charset=windows-1251>', "cp1251"),
        (f"<script>{' ' * 20_000}</script><meta charset=windows-1251>", "cp1251"),
    ],
)
def test_pages_name_their_encoding_in_many_ways(head: str, codec: str) -> None:
    assert read_document("a.html", f"{head}<body><p>{RUSSIAN}".encode(codec)).text == RUSSIAN


def test_a_page_that_names_utf_8_may_be_something_else() -> None:
    assert read_document("a.html", "<meta charset=utf-8><p>Grüße".encode("cp1252")).text == "Grüße"
    with pytest.raises(DocumentError, match="neither in UTF-8"):
        read_document("a.html", f"<meta charset=utf-8><p>{RUSSIAN}".encode("cp1251"))
