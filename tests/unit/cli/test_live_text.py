"""Answers on a terminal while models write them."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from compozy.cli.livetext import LiveText
from compozy.cli.output import print_note, write_transient
from compozy.database.live_text import TextDelta, is_watched, publish_text


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> LiveText:
    """Answers of the run `r`, printed completely."""
    monkeypatch.setenv("NO_COLOR", "1")
    return LiveText("r", quiet=False, follows=True)


def piece(text: str, *, path: str = "a", offset: int = 0, attempt: int = 1, is_last: bool = False) -> TextDelta:
    """Return a piece of the answer of a task."""
    return TextDelta(execution_id="r", path=path, request=0, attempt=attempt, offset=offset, text=text, is_last=is_last)


def test_an_answer_is_indented_and_harmless(live: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    live.add(piece("One\n\ntwo \x1b"))
    live.add(replace(piece("[2Jthree\r\x00\x85", offset=10), execution_id="another run"))
    live.add(piece("[2Jthree\r\x00\x85", offset=10))
    live.add(piece(" \x1b[31mred\n", offset=21, is_last=True))
    print_note("after")
    assert capsys.readouterr().err == ("  … a\n    One\n\n    two \\x1b[2Jthree\\x0d\\x00\\x85 \\x1b[31mred\nafter\n")


def test_a_note_is_printed_on_a_separate_line(live: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    live.add(piece("One"))
    write_transient("not now")
    print_note("note")
    live.add(piece(" two", offset=3, is_last=True))
    assert capsys.readouterr().err == "  … a\n    One\nnote\n     two\n"


def test_concurrent_answers_wait_for_each_other(live: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    live.add(piece("One"))
    live.add(piece("second", path="b"))
    live.add(piece("also", path="c"))
    live.end_task("b", has_failed=False)
    live.add(piece(", late", path="b", offset=6, is_last=True))
    live.add(piece(" end", offset=3, is_last=True))
    live.add(piece(" shown", path="c", offset=4, is_last=True))
    assert capsys.readouterr().err == ("  … a\n    One end\n  … b\n    second, late\n  … c\n    also shown\n")


def test_an_answer_can_start_again(live: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    live.add(piece("One"))
    # After a lost connection, the text so far is sent again.
    live.add(piece("One two"))
    live.add(piece("Three", attempt=2, is_last=True))
    assert capsys.readouterr().err == "  … a\n    One two\n  … a  (the answer starts again)\n    Three\n"


def test_an_answer_that_failed_blocks_no_other(live: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    live.add(piece("One"))
    live.add(piece("second", path="b"))
    live.add(replace(piece("again"), request=1))
    live.end_task("b", has_failed=True)
    live.add(replace(piece(".", offset=5), request=1, is_last=True))
    assert capsys.readouterr().err == "  … a\n    One\n  … b\n    second\n  … a\n    again.\n"


def test_it_listens_to_its_run(live: LiveText, capsys: pytest.CaptureFixture[str]) -> None:
    with live.listening():
        assert is_watched("r")
        publish_text(piece("One", is_last=True))
    assert not is_watched("r")
    publish_text(piece("Two", path="b", is_last=True))
    assert capsys.readouterr().err == "  … a\n    One\n"


def test_without_a_terminal_nothing_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    for live in (LiveText("r", quiet=False), LiveText("r", quiet=True, follows=True)):
        with live.listening():
            assert not is_watched("r")
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_the_end_of_an_answer_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    live = LiveText("r", quiet=False)
    live.add(piece("One"))
    live.add(piece(" two\n\x1b[2Jthree 🙂🙂", offset=3))
    live.add(piece(" four", offset=20, is_last=True))
    live.end_task("a", has_failed=False)
    print_note("after")
    lines = capsys.readouterr().err.split("\r\x1b[K")
    assert lines == ["", "  … a  One", "  … a  Jthree 🙂🙂", "  … a  e 🙂🙂 four", "after\n"]
