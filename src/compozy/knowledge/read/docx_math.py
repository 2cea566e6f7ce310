"""Formulas of a DOCX in one line: positions above, below and next to each other keep their meaning."""

from __future__ import annotations

from collections.abc import Mapping

_SIGNS = {"num": "", "den": "/", "sup": "^", "sub": "_", "lim": "_", "deg": "^"}
_GROUPS = frozenset({*_SIGNS, "e", "fName"})
_BRACKETS = {"begChr": "(", "sepChr": "|", "endChr": ")"}
_INTEGRAL = "\u222b"
_ROOT = "\u221a"


class Formula:
    """Takes the elements of one formula; `parts` is the text that it is part of."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = parts
        self._open: list[str] = []
        # Where the text of each open group starts.
        self._starts: list[int] = []
        self._brackets: list[dict[str, str]] = []
        self._arguments: list[int] = []
        self._operator = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        parent = self._open[-1] if self._open else ""
        self._open.append(tag)
        if tag == "d":
            self._brackets.append(dict(_BRACKETS))
            self._arguments.append(0)
        elif tag in _BRACKETS and self._brackets and parent == "dPr":
            self._brackets[-1][tag] = attributes.get("val", "")
        elif tag == "naryPr":
            self._operator = _INTEGRAL
        elif tag == "chr" and parent == "naryPr":
            self._operator = attributes.get("val", "")
        elif tag in _GROUPS:
            self._start_group(tag, parent)

    def end(self, tag: str) -> None:
        """End an element."""
        self._open.pop()
        parent = self._open[-1] if self._open else ""
        if tag == "naryPr":
            self._parts.append(self._operator)
        elif tag == "d":
            brackets = self._brackets.pop()
            self._parts.append(brackets["endChr"] if self._arguments.pop() else "")
        elif tag in _GROUPS:
            self._end_group(tag, parent)

    def _start_group(self, tag: str, parent: str) -> None:
        if tag == "e" and parent == "d":
            brackets = self._brackets[-1]
            self._parts.append(brackets["sepChr" if self._arguments[-1] else "begChr"])
            self._arguments[-1] += 1
        self._starts.append(len(self._parts))

    def _end_group(self, tag: str, parent: str) -> None:
        start = self._starts.pop()
        text = "".join(self._parts[start:])
        if tag == "e":
            ends = {"mr": " ", "eqArr": "\n"}
            shown = f"{_ROOT}{_grouped(text)}" if parent == "rad" else text + ends.get(parent, "")
        elif tag == "fName":
            shown = f"{text} "
        else:
            sign = "^" if (tag, parent) == ("lim", "limUpp") else _SIGNS[tag]
            shown = sign + _grouped(text) if text else ""
        self._parts[start:] = [shown]


def _grouped(text: str) -> str:
    """Return a text in brackets, if it is more than one number or name."""
    return text if text.isalnum() or len(text) < 2 else f"({text})"
