"""How many tokens a text has, without a tokenizer's download: an estimate that is rather too high than too low."""

from __future__ import annotations

import re

# A run of ASCII letters or digits costs a token for each four, any other visible sign one token.
_PIECES = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")
_LETTERS_PER_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """Return about how many tokens `text` has for a model of today."""
    return sum(-(-len(piece[0]) // _LETTERS_PER_TOKEN) for piece in _PIECES.finditer(text))
