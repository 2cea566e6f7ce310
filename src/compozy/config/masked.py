"""Text for a parser of YAML 1.1, in which some characters stand for others so that it reads YAML 1.2."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

# Line ends in YAML 1.1, text like any other in YAML 1.2. They come along with text that is pasted.
_NOT_BREAKS = "\x85\u2028\u2029"
_TAB = "\t"
# Characters for private use: none of them has a meaning in YAML.
_STAND_INS = range(0xE000, 0xF8FF)
_MAX_TABS = 100


class MaskedText:
    """`text` is what the parser reads: as long as the file's, so that its marks point into the file."""

    def __init__(self, text: str) -> None:
        free = (chr(code) for code in _STAND_INS if chr(code) not in text)
        masked = dict(zip(_NOT_BREAKS + _TAB, free, strict=False))
        self._tab = masked.pop(_TAB, _TAB)
        self._originals = {ord(stand_in): char for char, stand_in in masked.items() if char in text}
        self._tabs = 0
        self.text = text.translate(str.maketrans(masked)) if self._originals else text

    def mask_tab(self, error: yaml.MarkedYAMLError) -> bool:
        """Replace the tab that `error` is about when it is text: the first line of a `|` or `>` may begin with one.

        Returns:
            Whether the text has changed, and is worth another try.
        """
        at = error.problem_mark.index if error.problem_mark else -1
        is_text = "block scalar" in str(error.context) and "tab character" in str(error.problem)
        if not is_text or self.text[at : at + 1] != _TAB or self._tabs == _MAX_TABS:
            return False
        self._tabs += 1
        self._originals[ord(self._tab)] = _TAB
        self.text = f"{self.text[:at]}{self._tab}{self.text[at + 1 :]}"
        return True

    def unmask(self, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
        """Yield the parser's events with the characters of the file."""
        if not self._originals:
            return events
        return (self._unmasked(event) for event in events)

    def _unmasked(self, event: yaml.Event) -> yaml.Event:
        if isinstance(event, yaml.ScalarEvent):
            event.value = event.value.translate(self._originals)
        return event
