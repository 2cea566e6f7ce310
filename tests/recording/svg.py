"""Draws takes as an SVG that plays them in a loop with CSS only, and reads their text again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.recording.record import COLUMNS, Take
from tests.recording.screen import Screen, Shown

PROMPT = "$ "
LONGEST_PAUSE_S = 1.5
"""Limit of the visible length of a pause. The times in the text are the real ones."""
_TYPING_S = 0.035
_BEFORE_S, _AFTER_S, _END_S = 0.8, 1.2, 5.0
_CELL, _LINE, _LEFT, _TOP = 8.4, 21, 18, 52
_WIDTH = round(COLUMNS * _CELL + 2 * _LEFT)
_NAMESPACE = "{http://www.w3.org/2000/svg}"

_STYLE = """
:root{--back:#fbfbfa;--bar:#ececea;--text:#24292f;--dim:#57606a;--green:#116329;--red:#a40e26;--yellow:#7d4e00}
@media (prefers-color-scheme:dark){:root{--back:#12161c;--bar:#1d232b;--text:#e6edf3;--dim:#9aa4af;--green:#56d364;
--red:#ff8e86;--yellow:#e3b341}}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--text);white-space:pre}
.dim{fill:var(--dim)}.green{fill:var(--green)}.red{fill:var(--red)}.yellow{fill:var(--yellow)}.bold{font-weight:700}
.back{fill:var(--back)}.bar{fill:var(--bar)}.gone{opacity:0}
.a,.t{animation-duration:%(total)ss;animation-iteration-count:infinite}
.a{animation-timing-function:step-end}
%(keyframes)s
@media (prefers-reduced-motion:reduce){.a{animation:none}.t{display:none}}
"""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A command while it is typed: a cover over the row moves to the right, one letter at a time."""

    row: int
    letters: int
    from_s: float


def draw(takes: Iterable[Take]) -> str:
    """Return the SVG."""
    screen = Screen(columns=COLUMNS)
    typed: list[Typed] = []
    now_s = 0.0
    for take in takes:
        screen.write(PROMPT, now_s)
        now_s += _BEFORE_S
        typed.append(Typed(row=screen.row, letters=len(take.command), from_s=now_s))
        screen.write(take.command, now_s)
        now_s += len(take.command) * _TYPING_S + 0.3
        screen.write("\n", now_s)
        before_s = 0.0
        for chunk in take.chunks:
            now_s += min(chunk.at_s - before_s, LONGEST_PAUSE_S)
            before_s = chunk.at_s
            screen.write(chunk.text, now_s)
        now_s += _AFTER_S
    screen.write(PROMPT, now_s)
    return _document(screen.lines(), typed, now_s + _END_S)


def read_text(svg: str) -> str:
    """Return the text at the end of the SVG, line by line as the program printed it."""
    rows: dict[int, ElementTree.Element] = {}
    for line in ElementTree.fromstring(svg).iter(f"{_NAMESPACE}text"):
        if "gone" not in line.get("class", ""):
            rows[int(line.get("data-row", "-1"))] = line
    rows.pop(-1, None)
    text = ""
    for row in range(max(rows) + 1):
        line = rows.get(row)
        words = "" if line is None else "".join(line.itertext())
        text += words if line is not None and line.get("data-wraps") else f"\n{words}"
    return text.removeprefix("\n").removesuffix(PROMPT.rstrip()).removesuffix(PROMPT)


def _document(lines: list[Shown], typed: list[Typed], total_s: float) -> str:
    height = _TOP + (max(line.row for line in lines) + 1) * _LINE + 14
    keyframes: list[str] = []
    drawn = "".join(_line(line, keyframes, total_s) for line in lines)
    drawn += "".join(_lid(each, keyframes, total_s) for each in typed)
    style = _STYLE.strip() % {"total": f"{total_s:.1f}", "keyframes": "\n".join(keyframes)}
    dots = "".join(f'<circle class="dim" cx="{_LEFT + 5 + 18 * n}" cy="17" r="5" opacity=".5"/>' for n in range(3))
    told = escape(read_text(f'<svg xmlns="{_NAMESPACE[1:-1]}">{drawn}</svg>'))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title desc">\n<title id="title">Compozy on a terminal</title>\n'
        f'<desc id="desc">{told}</desc>\n<style>{style}</style>\n'
        f'<rect class="back" width="{_WIDTH}" height="{height}" rx="8"/>\n'
        f'<path class="bar" d="M0 34V8a8 8 0 0 1 8-8H{_WIDTH - 8}a8 8 0 0 1 8 8V34z"/>{dots}\n{drawn}</svg>\n'
    )


def _line(line: Shown, keyframes: list[str], total_s: float) -> str:
    """Return one line, which is visible for a period of time."""
    name = f"l{len(keyframes)}"
    moments = {0.0: "opacity:0", line.from_s: "opacity:1"} | (
        {} if line.until_s is None else {line.until_s: "opacity:0"}
    )
    keyframes.append(_keyframes(name, moments, total_s))
    kind = "a" if line.until_s is None else "a gone"
    wraps = ' data-wraps="1"' if line.wraps else ""
    spans = "".join(
        f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text) for text, style in line.spans
    )
    return (
        f'<text class="{kind}" style="animation-name:{name}" data-row="{line.row}"{wraps} x="{_LEFT}" '
        f'y="{_TOP + line.row * _LINE + 12}" textLength="{len(line.text) * _CELL:.1f}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{spans}</text>\n'
    )


def _lid(typed: Typed, keyframes: list[str], total_s: float) -> str:
    """Return the cover of a command whose letters are not typed yet."""
    name = f"t{len(keyframes)}"
    width = typed.letters * _CELL
    until_s = typed.from_s + typed.letters * _TYPING_S
    away = f"transform:translateX({width:.1f}px)"
    keyframes.append(_keyframes(name, {0.0: "transform:none", typed.from_s: "transform:none", until_s: away}, total_s))
    left = _LEFT + len(PROMPT) * _CELL
    return (
        f'<rect class="t back" style="animation-name:{name};animation-timing-function:steps({typed.letters})" '
        f'x="{left:.1f}" y="{_TOP + typed.row * _LINE - 4}" width="{width:.1f}" height="{_LINE}"/>\n'
    )


def _keyframes(name: str, moments: dict[float, str], total_s: float) -> str:
    """Return CSS rules: the style from each moment on, until the end."""
    parts = [f"{at_s / total_s * 100:.2f}%{{{what}}}" for at_s, what in moments.items()]
    parts.append(f"100%{{{list(moments.values())[-1]}}}")
    return f"@keyframes {name}{{{''.join(parts)}}}"
