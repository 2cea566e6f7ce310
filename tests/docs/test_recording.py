"""The recording of README.md shows the current output of the program and suits a README."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.console import DEFAULT_FOLDER, Session
from tests.docs.pages import ROOT, Fence
from tests.recording.record import COMMANDS, Take
from tests.recording.screen import Chunk, Screen
from tests.recording.svg import LONGEST_PAUSE_S, draw, read_text

RECORDING = ROOT / "docs/content/terminal.svg"
_MAX_BYTES = 60_000


def test_it_shows_what_the_program_prints(tmp_path: Path) -> None:
    """Model answers and token counts are not compared, since a script answers here."""
    text = read_text(RECORDING.read_text(encoding="utf-8"))
    assert re.findall(r"^\$ (.*)$", text, re.MULTILINE) == list(COMMANDS)
    text = re.sub(r'(?<="greeting": ").*(?="})', "...", re.sub(r"\d+ \+ \d+ tokens", "... tokens", text))
    fence = Fence(page=RECORDING, line=0, kind="console", meta={}, text=text)
    session = Session(tmp_path, folder=DEFAULT_FOLDER, scripted=True)
    faults = session.run(fence) + session.close()
    assert not faults, "run `make recording`\n" + "\n".join(faults)


def test_it_is_small_and_needs_nothing_from_elsewhere() -> None:
    svg = RECORDING.read_text(encoding="utf-8")
    assert len(svg.encode()) < _MAX_BYTES
    assert not re.search(r"(?:href|src|url|@import|@font-face|<script)", svg)
    assert set(re.findall(r"https?://[^\"' ]+", svg)) == {"http://www.w3.org/2000/svg"}


def test_the_start_page_shows_it_and_mentions_what_was_shortened() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"]({RECORDING.relative_to(ROOT)})" in page
    assert f"pauses of more than {LONGEST_PAUSE_S:g} seconds are shortened" in page


def test_it_has_a_text_alternative() -> None:
    svg = ElementTree.parse(RECORDING).getroot()
    told = {element.tag.rpartition("}")[2]: "".join(element.itertext()) for element in svg}
    shown = read_text(RECORDING.read_text(encoding="utf-8"))
    assert svg.get("aria-labelledby") == "title desc"
    assert told["title"]
    assert told["desc"] == shown


def test_the_text_of_a_drawing_can_be_read_back() -> None:
    take = Take(
        command="compozy <say> 'a & b'",
        chunks=(
            Chunk(at_s=0.1, text="\r\x1b[K  \x1b[2m…\x1b[0m greet"),
            Chunk(at_s=60.0, text="\r\x1b[K  \x1b[32m✓\x1b[0m greet\n\n" + "x" * 100 + "\n"),
        ),
    )
    svg = draw([take])
    assert read_text(svg) == f"$ compozy <say> 'a & b'\n  ✓ greet\n\n{'x' * 100}\n"
    total = re.search(r"animation-duration:([\d.]+)s", svg)
    assert total, "nothing is played"
    # A minute of waiting is shown as a second and a half.
    assert float(total[1]) < 15


def test_lines_that_are_overwritten_have_an_end() -> None:
    screen = Screen(columns=10)
    screen.write("\r\x1b[Kone", 1.0)
    screen.write("\r\x1b[Ktwo\n", 2.0)
    screen.write("0123456789ab", 3.0)
    shown = [(line.row, line.text, line.from_s, line.until_s, line.wraps) for line in screen.lines()]
    assert shown == [
        (0, "one", 1.0, 2.0, False),
        (0, "two", 2.0, None, False),
        (1, "0123456789", 3.0, None, False),
        (2, "ab", 3.0, None, True),
    ]


def test_an_unknown_control_sequence_is_an_error() -> None:
    with pytest.raises(ValueError, match="2J"):
        Screen(columns=10).write("\x1b[2J", 0.0)
