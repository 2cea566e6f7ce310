"""The part of a conversation that fits a limit: its latest turns, each of them whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compozy.database.memories import Message
from compozy.memory.limits import Limits


@dataclass(frozen=True, kw_only=True)
class Window:
    """The latest turns of a conversation, `messages` in their order.

    Attributes:
        is_all: whether no message is left out.
    """

    messages: tuple[Message, ...]
    is_all: bool

    @property
    def tokens(self) -> int:
        """Return the tokens of its messages."""
        return sum(message.tokens for message in self.messages)


def latest_turns(newest_first: Iterable[Message], limits: Limits) -> Window:
    """Return the latest whole turns that fit; a turn that does not fit hides all turns before it.

    A turn is a message of the user with everything up to the next one. Messages before the first one are a turn, too.
    """
    kept: list[Message] = []
    count = tokens = 0
    for turn in turns_newest_first(newest_first):
        count += len(turn)
        tokens += sum(message.tokens for message in turn)
        if not limits.allow(count, tokens):
            return Window(messages=tuple(reversed(kept)), is_all=False)
        kept += reversed(turn)
    return Window(messages=tuple(reversed(kept)), is_all=True)


def turns_newest_first(newest_first: Iterable[Message]) -> Iterator[list[Message]]:
    """Yield the turns of a conversation, the newest first, each in its order."""
    turn: list[Message] = []
    for message in newest_first:
        turn.append(message)
        if message.role == "user":
            yield turn[::-1]
            turn = []
    if turn:
        yield turn[::-1]
