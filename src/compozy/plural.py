"""Nouns in messages that agree with their number."""


def plural(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs` or `3 processes`: the number, and the noun in its regular form."""
    return (
        f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"
    )
