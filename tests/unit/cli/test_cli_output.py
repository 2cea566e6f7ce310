"""Output cannot control the terminal: texts of documents and models cannot move the cursor or set titles."""

from __future__ import annotations

import json

import pytest

from compozy.cli.output import json_text, print_error, print_json, print_line, print_note, print_table
from compozy.errors import UsageError

EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x9b2Jd\re\x00"
SHOWN = r"a\x1b[2Jb\x1b]0;title\x07c\x9b2Jd\x0de\x00"


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(EVIL)
    print_note(EVIL)
    print_error(UsageError(EVIL, hint=EVIL), as_json=False)
    captured = capsys.readouterr()
    assert captured.out == f"{SHOWN}\n"
    assert captured.err == f"{SHOWN}\nError: {SHOWN}\n  {SHOWN}\n"


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": EVIL})
    print_line(f"Result: {json_text(EVIL)}")
    out = capsys.readouterr().out
    document, _, result = out.partition("Result: ")
    assert json.loads(document) == {"text": EVIL}
    assert json.loads(result) == EVIL
    assert not any(character in out for character in "\x1b\x07\x9b\r\0")


def test_lines_tabs_and_our_styles_stay(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a\tb\n\x1b[31mred\x1b[0m ü 漢 🙂"
    print_line(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_row_of_a_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "STATUS"), [("a\nREADY.md", "FAILED"), ("b\tc", "READY")])
    assert capsys.readouterr().out == "NAME         STATUS\na\\nREADY.md  FAILED\nb\\tc         READY\n"
